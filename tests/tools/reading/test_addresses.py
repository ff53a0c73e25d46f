import ipaddress

import pytest

from medr_ray.core.errors import ToolError
from medr_ray.tools.reading.addresses import is_allowed_address, parse_allowed_url

INWARD = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0",  # noqa: S104
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "::1",
    "::",
    "fe80::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2001:0:4136:e378:8000:63bf:5601:5601",  # Teredo to 169.254.169.254
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "::ffff:168.63.129.16",
    "fec0::1",
    "5f00::1",
]


@pytest.mark.parametrize("address", INWARD)
def test_an_address_that_leads_inward_is_refused(address: str) -> None:
    assert not is_allowed_address(ipaddress.ip_address(address), named=False)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "130.14.29.110", "2607:f220:41e:4290::110", "64:ff9b::825e:1d6e"]
)
def test_the_public_internet_is_allowed(address: str) -> None:
    assert is_allowed_address(ipaddress.ip_address(address), named=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "fd00::1"])
def test_a_named_host_may_be_private(address: str) -> None:
    assert is_allowed_address(ipaddress.ip_address(address), named=True)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
    ],
)
def test_where_clouds_keep_credentials_is_never_allowed(address: str) -> None:
    assert not is_allowed_address(ipaddress.ip_address(address), named=True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "no http or https"),
        ("gopher://example.org/", "no http or https"),
        ("http://user:secret@example.org/", "password"),
        ("http://@example.org/", "password"),
        ("http://example.org/\u202egnp", "hidden"),
        ("http://example.org/\U000e0041", "hidden"),
        ("http:///path", "no host"),
        ("http://example.org:22/", "port 22"),
        ("http://example.org:99999/", "no address"),
        ("http://exam ple.org/", "spaces"),
        ("http://a\\@b.org/", "spaces"),
        ("https://example.org/" + "a" * 3000, "too long"),
        ("http://[::1/", "no address"),
    ],
)
def test_an_invalid_address_is_reported(url: str, message: str) -> None:
    with pytest.raises(ToolError, match=message) as raised:
        parse_allowed_url(url)
    assert "secret" not in str(raised.value)


def test_a_port_is_read_where_the_configuration_names_it() -> None:
    assert (
        parse_allowed_url("http://wiki.example.org:8080/a", ["wiki.example.org:8080"]).port == 8080
    )
    with pytest.raises(ToolError, match="port 8081"):
        parse_allowed_url("http://wiki.example.org:8081/a", ["wiki.example.org:8080"])
