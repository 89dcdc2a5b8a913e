"""The one governed pipe: it runs an engine's session between a client and a target.

The proxy and the middleware's runner use it alike, in a trio event loop::

    settings = RelaySettings.from_environment("middleware")        # querykeep_relay.settings
    async with open_services(settings) as services:                # querykeep_relay.services
        grant = await services.api.open_editor_session(cookie, connection_id, client)
        async with open_private_session(grant, services=services, observer=observer) as private:
            # private.address is a kit.driver.SocketAddress for driver.connect_governed()
            connection = await trio.to_thread.run_sync(
                driver.connect_governed, private.address, grant.policy.database
            )
            ...
        # leaving the block ends the session: EndRequested, then both transports are closed

``run_session(transport, …)`` (querykeep_relay.shell) is what both roads come down to: it governs
one client transport until its end and never raises for what peers do. ``services.live`` holds the
live sessions of this process (``end``, ``cancel``); ``Observer`` (querykeep_relay.observer) is told
of decisions with their MaskPlan, of statements and of the session's end.

Imports: relay -> engines.registry -> an engine -> kit -> guard. No engine's name stands here.
"""
