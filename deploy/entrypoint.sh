#!/bin/sh
# Reads what the service `init` made for this container, then becomes the service.
#
# Each folder below /run/querykeep is a volume of its own, mounted only where its content is needed;
# its `env` holds `export NAME='value'` lines.
set -eu
for file in /run/querykeep/*/env; do
    if [ -r "$file" ]; then
        # shellcheck disable=SC1090  # made at run time
        . "$file"
    fi
done
exec "$@"
