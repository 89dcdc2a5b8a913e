"""The rows of the demo database `shop`: invented people and goods, the same from every run.

Nobody's real data: resident numbers carry a wrong check digit and card numbers fail the Luhn test,
so that none can belong to a person; mail addresses use the domains that RFC 2606 reserves.
"""

import datetime
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

SEED = 20_240_501
CUSTOMERS = 2_000
PRODUCTS = 300
ORDERS = 20_000
ORDER_ITEMS = 50_000
EMPLOYEES = 200
PAYROLL_MONTHS = 12
MOST_ITEMS_PER_ORDER = 6

Row = tuple[object, ...]

FAMILY_NAMES = {
    "김": "kim",
    "이": "lee",
    "박": "park",
    "최": "choi",
    "정": "jung",
    "강": "kang",
    "조": "cho",
    "윤": "yoon",
    "장": "jang",
    "임": "lim",
    "한": "han",
    "오": "oh",
    "서": "seo",
    "신": "shin",
    "권": "kwon",
    "황": "hwang",
}
GIVEN_NAMES = {
    "민준": "minjun",
    "서연": "seoyeon",
    "도윤": "doyun",
    "하은": "haeun",
    "시우": "siwoo",
    "지유": "jiyu",
    "주원": "juwon",
    "서윤": "seoyun",
    "예준": "yejun",
    "지민": "jimin",
    "현우": "hyunwoo",
    "수아": "sua",
    "지호": "jiho",
    "다은": "daeun",
    "건우": "gunwoo",
    "채원": "chaewon",
    "은우": "eunwoo",
    "윤서": "yunseo",
}
ENGLISH_FIRST = (
    "Olivia",
    "James",
    "Amelia",
    "Noah",
    "Grace",
    "Henry",
    "Chloe",
    "Oscar",
    "Ruby",
    "Leo",
    "Siân",
    "Zoë",
    "Patrick",
    "Maeve",
)
ENGLISH_LAST = (
    "Walker",
    "Hughes",
    "Bennett",
    "O'Connor",
    "Fletcher",
    "Marsh",
    "Dixon",
    "Harper",
    "Quinn",
    "Ashford",
)
MAIL_DOMAINS = ("example.com", "example.org", "example.net")
CITIES = (
    "서울",
    "부산",
    "인천",
    "대구",
    "대전",
    "광주",
    "수원",
    "제주",
    "Busan",
    "London",
    "Dublin",
    "Berlin",
)
STREETS = (
    "중앙로",
    "한강대로",
    "해운대로",
    "Station Road",
    "Mill Lane",
    "Harbour Street",
    "테헤란로",
)
TIERS = ("bronze", "bronze", "bronze", "silver", "silver", "gold")
NOTES = (
    "배송 전 연락 바랍니다.",
    "Prefers delivery after 18:00.",
    "단골 고객, 포장 꼼꼼히 😊",
    'Asked for "gift wrap"; don\'t call.',
    "첫 줄\n둘째 줄",
    "Path C:\\orders\\in, tab\there.",
    "",
)
CATEGORIES = {
    "주방": ("머그컵", "도마", "냄비", "젓가락 세트"),
    "Books": ("Field Notes", "Atlas", "Cookbook", "Sketchbook"),
    "전자": ("무선 마우스", "키보드", "모니터 받침", "이어폰"),
    "Garden": ("Watering Can", "Trowel", "Seed Box", "Lantern"),
    "의류": ("양말", "목도리", "니트 모자", "우비"),
}
STATUSES = (
    "paid",
    "paid",
    "shipped",
    "shipped",
    "delivered",
    "delivered",
    "delivered",
    "cancelled",
)
DEPARTMENTS = ("개발", "영업", "Finance", "Support", "인사", "Logistics")


@dataclass(frozen=True, slots=True)
class ShopRows:
    """Every row of every table, in the column order of `shop.TABLES`, ascending by key."""

    customers: tuple[Row, ...]
    products: tuple[Row, ...]
    orders: tuple[Row, ...]
    order_items: tuple[Row, ...]
    employees: tuple[Row, ...]
    payroll: tuple[Row, ...]

    def of(self, table: str) -> tuple[Row, ...]:
        """Return the rows of one table by its name."""
        rows: tuple[Row, ...] = getattr(self, table)
        return rows


@cache
def shop_rows() -> ShopRows:
    """Return the rows; made once per process."""
    # One generator per table: adding a column to one leaves the others as they were.
    products = tuple(_products(_generator("products")))
    prices = {int(str(row[0])): Decimal(str(row[4])) for row in products}
    items = tuple(_order_items(_generator("order_items"), prices))
    employees = tuple(_employees(_generator("employees")))
    return ShopRows(
        customers=tuple(_customers(_generator("customers"))),
        products=products,
        orders=tuple(_orders(_generator("orders"), items)),
        order_items=items,
        employees=employees,
        payroll=tuple(_payroll(employees)),
    )


def _generator(table: str) -> random.Random:
    return random.Random(f"{SEED}/{table}")


def _person(rng: random.Random) -> tuple[str, str]:
    """Return a display name and the Latin spelling that goes into the mail address."""
    if rng.random() < 0.6:
        family, given = rng.choice(list(FAMILY_NAMES)), rng.choice(list(GIVEN_NAMES))
        return family + given, f"{GIVEN_NAMES[given]}.{FAMILY_NAMES[family]}"
    first, last = rng.choice(ENGLISH_FIRST), rng.choice(ENGLISH_LAST)
    latin = f"{first}.{last}".lower().replace("'", "").replace("â", "a").replace("ë", "e")
    return f"{first} {last}", latin


def _day(rng: random.Random, first: datetime.date, last: datetime.date) -> datetime.date:
    return first + datetime.timedelta(days=rng.randint(0, (last - first).days))


def _moment(rng: random.Random, first: datetime.date, last: datetime.date) -> datetime.datetime:
    day = _day(rng, first, last)
    return datetime.datetime(
        day.year, day.month, day.day, rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59)
    )


def _customers(rng: random.Random) -> Iterator[Row]:
    for number in range(1, CUSTOMERS + 1):
        name, latin = _person(rng)
        born = _day(rng, datetime.date(1950, 1, 1), datetime.date(2006, 12, 31))
        email = f"{latin}{number}@{rng.choice(MAIL_DOMAINS)}"
        phone = f"010-{rng.randint(2000, 9999)}-{rng.randint(0, 9999):04d}"
        rrn = _resident_number(rng, born)
        card = _card_number(rng)
        city, tier, note = rng.choice(CITIES), rng.choice(TIERS), rng.choice(NOTES)
        created = _moment(rng, datetime.date(2019, 1, 1), datetime.date(2025, 12, 31))
        yield (
            number,
            name,
            _sometimes_null(rng, email),
            _sometimes_null(rng, phone),
            _sometimes_null(rng, rrn),
            _sometimes_null(rng, card),
            born,
            city,
            tier,
            note if rng.random() < 0.5 else None,
            created,
        )


def _sometimes_null(rng: random.Random, value: str) -> str | None:
    return None if rng.random() < 0.03 else value


def _resident_number(rng: random.Random, born: datetime.date) -> str:
    century_digit = rng.choice((1, 2)) + (2 if born.year >= 2000 else 0)
    digits = f"{born:%y%m%d}{century_digit}{rng.randint(0, 99999):05d}"
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    total = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
    right_check_digit = (11 - total % 11) % 10
    return f"{digits[:6]}-{digits[6:]}{(right_check_digit + 1 + rng.randint(0, 8)) % 10}"


def _card_number(rng: random.Random) -> str:
    digits = f"{rng.choice((4, 5))}{rng.randint(0, 10**14 - 1):014d}"
    total = 0
    for position, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * 2 if position % 2 == 0 else digit
        total += doubled - 9 if doubled > 9 else doubled
    right_check_digit = -total % 10
    number = f"{digits}{(right_check_digit + 1 + rng.randint(0, 8)) % 10}"
    return "-".join(number[start : start + 4] for start in range(0, 16, 4))


def _products(rng: random.Random) -> Iterator[Row]:
    for number in range(1, PRODUCTS + 1):
        category = rng.choice(list(CATEGORIES))
        name = f"{rng.choice(CATEGORIES[category])} {number}"
        price = Decimal(rng.randint(150, 250_000)).scaleb(-2) * 10
        yield number, f"SKU-{number:05d}", name, category, price, rng.randint(0, 500)


def _order_items(rng: random.Random, prices: dict[int, Decimal]) -> Iterator[Row]:
    counts = [1] * ORDERS
    left = ORDER_ITEMS - ORDERS
    while left:
        order = rng.randrange(ORDERS)
        if counts[order] < MOST_ITEMS_PER_ORDER:
            counts[order] += 1
            left -= 1
    for order, count in enumerate(counts, start=1):
        for product in sorted(rng.sample(range(1, PRODUCTS + 1), count)):
            yield order, product, rng.randint(1, 5), prices[product]


def _orders(rng: random.Random, items: tuple[Row, ...]) -> Iterator[Row]:
    totals: dict[object, Decimal] = {}
    for order, _product, quantity, price in items:
        totals[order] = totals.get(order, Decimal(0)) + Decimal(str(price)) * int(str(quantity))
    for number in range(1, ORDERS + 1):
        yield (
            number,
            rng.randint(1, CUSTOMERS),
            rng.choice(STATUSES),
            _moment(rng, datetime.date(2023, 1, 1), datetime.date(2025, 12, 31)),
            totals[number],
            f"{rng.choice(CITIES)} {rng.choice(STREETS)} {rng.randint(1, 400)}",
        )


def _employees(rng: random.Random) -> Iterator[Row]:
    for number in range(1, EMPLOYEES + 1):
        name, _latin = _person(rng)
        hired = _day(rng, datetime.date(2008, 1, 1), datetime.date(2024, 12, 31))
        salary = Decimal(rng.randint(2_800, 14_000) * 10_000)
        yield number, name, rng.choice(DEPARTMENTS), salary.quantize(Decimal("0.01")), hired


def _payroll(employees: tuple[Row, ...]) -> Iterator[Row]:
    for number, _name, _department, salary, _hired in employees:
        for month in range(1, PAYROLL_MONTHS + 1):
            amount = (Decimal(str(salary)) / PAYROLL_MONTHS).quantize(Decimal("0.01"))
            yield number, datetime.date(2025, month, 1), amount
