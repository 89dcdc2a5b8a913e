"""pip's settings reach uv and Node; the caller's own variables stay."""

from querykeep_demo.package_index import exports, parse_pip_settings

LISTING = """\
:env:.index-url='https://env.example/simple'
global.cert='/etc/ca.pem'
global.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'
global.index-url='https://global.example/simple'
install.trusted-host='a.example'
freeze.timeout='10'
"""


def test_strongest_section_wins_and_others_are_left_out() -> None:
    settings = parse_pip_settings(LISTING)
    assert settings == {
        "index-url": "https://env.example/simple",
        "cert": "/etc/ca.pem",
        "extra-index-url": "https://a.example/simple\nhttps://b.example/simple",
        "trusted-host": "a.example",
    }


def test_settings_become_variables_of_uv_and_node() -> None:
    variables = exports(parse_pip_settings(LISTING), {})
    assert variables == {
        "UV_SYSTEM_CERTS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_DEFAULT_INDEX": "https://env.example/simple",
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "a.example",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "NODE_EXTRA_CA_CERTS": "/etc/ca.pem",
    }


def test_variables_that_the_caller_set_are_left_alone() -> None:
    variables = exports(
        parse_pip_settings(LISTING), {"UV_DEFAULT_INDEX": "x", "SSL_CERT_FILE": "y"}
    )
    assert "UV_DEFAULT_INDEX" not in variables
    assert "SSL_CERT_FILE" not in variables


def test_nothing_configured_names_no_index() -> None:
    assert exports({}, {}) == {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
