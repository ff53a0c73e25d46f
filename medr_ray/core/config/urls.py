"""Types of addresses. None of them holds a secret: a configuration is stored, shown and logged.

Keys come from environment variables. No error here quotes an address, which may hold one.
"""

from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator

# What pyarrow reads in the query of an S3 URI beside keys.
_STORAGE_OPTIONS = frozenset(
    {"region", "scheme", "endpoint_override", "allow_bucket_creation", "allow_bucket_deletion"}
)


def _split(url: str) -> SplitResult:
    """The parts of an address. Raises ValueError for what is none, and for user info."""
    try:
        parts = urlsplit(url)
        # Its own check of the number.
        _ = parts.port
    # Its message quotes the address.
    except ValueError:
        raise ValueError("no address: write http://host:port/path") from None
    if "@" in parts.netloc:
        raise ValueError(
            "the address holds credentials (user:password@): put the key into an environment "
            "variable and name it in api_key_env"
        )
    return parts


def _check_service_url(url: str) -> str:
    """The address of a web service; empty where the field allows it (its default)."""
    if not url:
        return url
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("the address holds spaces or characters that cannot be seen: remove them")
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no address of a web service: write http://host:port/path or https://…")
    if "?" in url or "#" in url:
        raise ValueError(
            "the address holds a query (?…) or a fragment (#…): leave it out, and put a key into "
            "an environment variable that api_key_env names"
        )
    return url


def _check_storage_uri(uri: str) -> str:
    """A path, or a URI of object storage, whose credentials come from the environment."""
    if "://" not in uri:
        return uri
    # A question mark may also be part of a glob; then it is followed by no name=value.
    options = {name for name, _ in parse_qsl(_split(uri).query, keep_blank_values=False)}
    if options - _STORAGE_OPTIONS:
        raise ValueError(
            "the URI holds a query (?name=value) that is no option of a storage; credentials of "
            "storage come from the environment"
        )
    return uri


def _check_cluster_address(address: str) -> str:
    """The address of a Ray cluster: host:port, ray://host:port or auto."""
    if "@" in address or "?" in address:
        raise ValueError("the address holds credentials or a query: write host:port")
    return address


# An http or https address without user info, query and fragment.
ServiceUrl = Annotated[str, AfterValidator(_check_service_url)]
# A path or a URI without user info and keys.
StorageUri = Annotated[str, AfterValidator(_check_storage_uri)]
# Of a Ray cluster.
ClusterAddress = Annotated[str, AfterValidator(_check_cluster_address)]
