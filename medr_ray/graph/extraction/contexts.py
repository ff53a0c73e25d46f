"""The context in which a sentence states a relation: when, where and in whom."""

import re

_YEAR = r"(?:1[89]|20)\d\d"
_TIME = re.compile(
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
# The longest first, so that "South Korea" is not read as "Korea".
_PLACE_NAMES = "|".join(sorted(_COUNTRIES, key=len, reverse=True))
_PLACE = re.compile(
    rf"\b(?:in|from|across|within) (?:the )?((?:northern |southern |eastern |western |central )?"
    rf"(?:{_PLACE_NAMES}))\b"
)
_POPULATION = re.compile(
    r"\bin (?:(?:\d+|most|many|some|all) )?((?:(?:elderly|adult|pediatric|paediatric|pregnant|"
    r"newborn|premature|young|postmenopausal|immunocompromised|critically ill|hospitali[sz]ed) )?"
    r"(?:children|adults|infants|neonates|newborns|adolescents|women|men|patients|girls|boys))\b",
    re.IGNORECASE,
)
_UNSPECIFIC_POPULATION = "patients"  # says nothing about who they are


def find_time(sentence: str) -> str:
    """The first date or span of years, such as "between 1990 and 1995", or ""."""
    match = _TIME.search(sentence)
    return match.group() if match else ""


def find_place(sentence: str) -> str:
    """The first country or region, or ""."""
    match = _PLACE.search(sentence)
    return match.group(1) if match else ""


def find_population(sentence: str) -> str:
    """The first group of people who are more than "patients", such as "pregnant women", or ""."""
    for match in _POPULATION.finditer(sentence):
        group = match.group(1).lower()
        if group != _UNSPECIFIC_POPULATION:
            return group
    return ""
