"""One governed MySQL or MariaDB session, sans I/O.

```
 client                     session                          target
   │        greeting          │                                │
   │◀─────────────────────────│                                │
   │  handshake response      │                                │
   │─────────────────────────▶│  Prove ─▶ shell ─▶ SignedIn    │
   │                          │  Connect ─▶ greeting, sign-in  │
   │           OK             │◀──────────────────────────────▶│
   │◀─────────────────────────│  state question (own)          │
   │  COM_QUERY               │                                │
   │─────────────────────────▶│  Decide ─▶ Decided             │
   │                          │  Audit(started), COM_QUERY ───▶│
   │  columns, masked rows    │◀───────────────────────────────│
   │◀─────────────────────────│  Audit(completed)              │
```
"""

from querykeep_engines.mysql.session.core import MysqlSession

__all__ = ["MysqlSession"]
