"""What a sentence says around a relation: when, where and in whom."""

import re

_YEAR = r"(?:1[89]|20)\d\d"
_TEMPORAL = re.compile(
    rf"\b(?:between|from) {_YEAR} (?:and|to) {_YEAR}|"
    rf"\b(?:in|since|during|by|before|after) {_YEAR}(?:\s?[-–]\s?{_YEAR})?\b"
)
_COUNTRIES = (
    "Argentina",
    "Australia",
    "Austria",
    "Bangladesh",
    "Belgium",
    "Brazil",
    "Cameroon",
    "Canada",
    "Chile",
    "China",
    "Colombia",
    "Cuba",
    "Denmark",
    "Egypt",
    "England",
    "Ethiopia",
    "Finland",
    "France",
    "Germany",
    "Ghana",
    "Greece",
    "Hong Kong",
    "Hungary",
    "Iceland",
    "India",
    "Indonesia",
    "Iran",
    "Iraq",
    "Ireland",
    "Israel",
    "Italy",
    "Jamaica",
    "Japan",
    "Kenya",
    "Korea",
    "Kuwait",
    "Lebanon",
    "Malaysia",
    "Mexico",
    "Morocco",
    "Nepal",
    "Netherlands",
    "New Zealand",
    "Nigeria",
    "Norway",
    "Pakistan",
    "Peru",
    "Philippines",
    "Poland",
    "Portugal",
    "Qatar",
    "Romania",
    "Russia",
    "Saudi Arabia",
    "Scotland",
    "Serbia",
    "Singapore",
    "South Africa",
    "South Korea",
    "Spain",
    "Sri Lanka",
    "Sudan",
    "Sweden",
    "Switzerland",
    "Taiwan",
    "Tanzania",
    "Thailand",
    "Tunisia",
    "Turkey",
    "Uganda",
    "United Kingdom",
    "United States",
    "Venezuela",
    "Vietnam",
    "Wales",
    "Zambia",
    "Zimbabwe",
    "Africa",
    "Asia",
    "Europe",
    "Latin America",
    "North America",
)
_SPATIAL = re.compile(
    rf"\b(?:in|from|across|within) (?:the )?((?:northern |southern |eastern |western |central )?"
    rf"(?:{'|'.join(sorted(_COUNTRIES, key=len, reverse=True))}))\b"
)
_WHO = re.compile(
    r"\bin (?:(?:\d+|most|many|some|all) )?((?:(?:elderly|adult|pediatric|paediatric|pregnant|newborn|premature|young|"
    r"postmenopausal|immunocompromised|critically ill|hospitali[sz]ed) )?"
    r"(?:children|adults|infants|neonates|newborns|adolescents|women|men|patients|girls|boys))\b",
    re.IGNORECASE,
)
_ANYONE = "patients"  # says nothing about whom


def temporal(sentence: str) -> str:
    """The first date or span of years, such as "between 1990 and 1995", or ""."""
    match = _TEMPORAL.search(sentence)
    return match.group() if match else ""


def spatial(sentence: str) -> str:
    """The first country or region, or ""."""
    match = _SPATIAL.search(sentence)
    return match.group(1) if match else ""


def clinical(sentence: str) -> str:
    """The first group of people who are more than "patients", such as "pregnant women", or ""."""
    groups = (match.group(1).lower() for match in _WHO.finditer(sentence))
    return next((group for group in groups if group != _ANYONE), "")
