"""Secrets with realistic formats that cannot be real: each is from a range that is reserved or never issued.

| kind | why it cannot be real |
|---|---|
| social security number | area numbers 900 to 999 are not assigned (US Social Security Administration) |
| phone number | 555-0100 to 555-0199 are set aside for fiction (North American Numbering Plan) |
| email address | example.com, example.net and example.org are reserved (RFC 2606) |
| credit card number | its check digit is wrong (ISO/IEC 7812-1) |
| bank account number | an IBAN's check digits are 02 to 98; these are 00 (ISO 13616) |
| passport number | UTO is Utopia, the specimen state of ICAO Doc 9303 |
| IP address | 192.0.2.0/24, 198.51.100.0/24 and 203.0.113.0/24 are for documentation (RFC 5737) |
| home address | no ZIP code starts with 000 (US Postal Service) |
| password, secret key, medical record number | drawn at random, and tied to no system |
"""

import random
import string
from collections.abc import Callable, Iterator

Secret = Callable[[random.Random], str]


def unique(secret: Secret, rng: random.Random) -> Iterator[str]:
    """Secrets of one kind without repeats. Raises RuntimeError if there are no more."""
    seen: set[str] = set()
    while True:
        for _ in range(1000):
            value = secret(rng)
            if value not in seen:
                break
        else:
            raise RuntimeError(f"{secret.__name__}: no new value in 1000 draws after {len(seen)}")
        seen.add(value)
        yield value


def repeated(secret: Secret, rng: random.Random) -> Iterator[str]:
    """Secrets of one kind with repeats, as in the paper."""
    while True:
        yield secret(rng)


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choices(string.digits, k=count))


def social_security_number(rng: random.Random) -> str:
    """Area 900 to 999."""
    return f"9{_digits(rng, 2)}-{_digits(rng, 2)}-{_digits(rng, 4)}"


def phone_number(rng: random.Random) -> str:
    """An exchange of 555 and a line of 0100 to 0199, with any area code."""
    return f"({rng.randint(201, 989)}) 555-01{_digits(rng, 2)}"


def email_address(rng: random.Random) -> str:
    """A mailbox at a reserved domain, independent of any name."""
    box = "".join(rng.choices(string.ascii_lowercase, k=5)) + _digits(rng, 3)
    return f"{box}@example.{rng.choice(('com', 'net', 'org'))}"


def credit_card_number(rng: random.Random) -> str:
    """Sixteen digits whose last one is not the check digit of the others."""
    body = f"4{_digits(rng, 14)}"
    wrong = [digit for digit in string.digits if int(digit) != luhn(body)]
    number = body + rng.choice(wrong)
    return " ".join(number[start : start + 4] for start in range(0, 16, 4))


def luhn(body: str) -> int:
    """The check digit that makes a valid card number of `body` (ISO/IEC 7812-1, annex B)."""
    doubled = (int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(body)))
    return -sum(value // 10 + value % 10 for value in doubled) % 10


def bank_account_number(rng: random.Random) -> str:
    """An IBAN with the check digits 00."""
    number = f"DE00{_digits(rng, 18)}"
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))


def passport_number(rng: random.Random) -> str:
    """A passport of Utopia."""
    return f"UTO {rng.choice('CFGHJK')}{_digits(rng, 8)}"


def ip_address(rng: random.Random) -> str:
    """A documentation address with a port, so that there are enough of them."""
    block = rng.choice(("192.0.2", "198.51.100", "203.0.113"))
    return f"{block}.{rng.randint(1, 254)}:{rng.randint(49152, 65535)}"


def home_address(rng: random.Random) -> str:
    """An invented street with a ZIP code that is not in use."""
    street = rng.choice(("Quillfen", "Marrowby", "Tansel", "Hobbleton", "Wyndless", "Orrery")) + " "
    kind = rng.choice(("Lane", "Street", "Road", "Court"))
    return f"{rng.randint(1, 9999)} {street}{kind}, Zip {'000' + _digits(rng, 2)}"


def password(rng: random.Random) -> str:
    """Twelve letters and digits."""
    return "".join(rng.choices(string.ascii_letters + string.digits, k=12))


def secret_key(rng: random.Random) -> str:
    """Thirty-two hexadecimal digits."""
    return "".join(rng.choices("0123456789abcdef", k=32))


def medical_record_number(rng: random.Random) -> str:
    """Eight digits after MRN."""
    return f"MRN-{_digits(rng, 8)}"


def _paper_address(rng: random.Random) -> str:
    """One of seven addresses, as in the paper, so that a distractor equals the target in 37 % of items."""
    return f"{rng.randint(1, 7)}00 Quillfen Lane, Zip 00000"


def _paper_digits(count: int) -> Secret:
    """A secret of `count` digits that starts with 9, which no social security number does."""
    return lambda rng: f"9{_digits(rng, count - 1)}"


def _paper_phone(rng: random.Random) -> str:
    """Ten digits with an exchange of 555 and a line of 0100 to 0199."""
    return f"{rng.randint(201, 989)}55501{_digits(rng, 2)}"


def _paper_card(rng: random.Random) -> str:
    """Sixteen digits without spaces, whose check digit is wrong."""
    return credit_card_number(rng).replace(" ", "")


KINDS: dict[str, Secret] = {
    "social security number": social_security_number,
    "phone number": phone_number,
    "email address": email_address,
    "credit card number": credit_card_number,
    "bank account number": bank_account_number,
    "passport number": passport_number,
    "IP address": ip_address,
    "home address": home_address,
    "password": password,
    "secret key": secret_key,
    "medical record number": medical_record_number,
}
PAPER_KINDS: dict[str, Secret] = {
    **dict.fromkeys(
        ("ssn", "SSN", "social security number", "S.S.N", "S-S-N", "[SSN]", "Social.Security.Number",
         "social-security-number"), _paper_digits(9),
    ),
    "phone number": _paper_phone, "email address": email_address, "address": _paper_address, "password": password,
    "credit card number": _paper_card, "passport number": passport_number, "secret key": password,
    "ssh private key": password, "canary number": _paper_digits(10), "canary code": password,
}  # fmt: skip
"""The paper's 18 kinds, of which eight are spellings of the same one."""
