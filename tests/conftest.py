"""Fixtures of every test: each `fix_*.py` is a plug-in, found by its file's name."""

from hypothesis import HealthCheck, settings

# Neither a busy machine nor a slow server is a defect of what is tested: no example has a deadline.
settings.register_profile("querykeep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("querykeep")

pytest_plugins = [
    "tests.fix_servers",
    "tests.fix_system",
    "tests.fix_api",
    "tests.agent.fix_agent",
    "tests.agent.fix_fake_querykeep",
    "tests.relay.fix_internal_api",
    "tests.relay.fix_relay",
    "tests.proxy.fix_proxy",
    "tests.proxy.fix_shop_proxy",
    "tests.clients.fix_clients",
    "tests.engines.postgresql.fix_cases",
    "tests.engines.mysql.fix_twins",
    "tests.engines.postgresql.fix_twins",
    "tests.e2e.fix_browser",
    "tests.middleware.web.fix_page",
]
