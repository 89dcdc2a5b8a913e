"""aiomysql and asyncmy: what they do themselves beside PyMySQL's code."""

import asyncio

import aiomysql
import asyncmy
from told import ADDRESS, tell

OPTIONS = {
    "host": ADDRESS.host,
    "port": ADDRESS.port,
    "user": ADDRESS.user,
    "password": ADDRESS.password,
    "db": ADDRESS.database,
}


async def main() -> None:
    for module in (aiomysql, asyncmy):
        connection = await module.connect(**OPTIONS)
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT 1, 'a', NULL, %s", ("한글",))
            tell(module.__name__, await cursor.fetchall(), cursor.description)
            await cursor.executemany("SELECT %s", [(1,), (2,)])
            await cursor.execute("SELECT id FROM orders ORDER BY id LIMIT 1000")
            tell("sum", sum(row[0] for row in await cursor.fetchall()))
        await connection.rollback()
        await connection.ping()
        connection.close()
        async with module.create_pool(**OPTIONS, minsize=2, maxsize=4) as pool:

            async def one(number: int, pool=pool) -> int:
                async with pool.acquire() as held, held.cursor() as cursor:
                    await cursor.execute("SELECT %s", (number,))
                    return (await cursor.fetchone())[0]

            tell("pool", await asyncio.gather(*[one(n) for n in range(20)]))


asyncio.run(main())
