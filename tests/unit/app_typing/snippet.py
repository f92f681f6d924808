# A user's module, as mypy sees it. A line with "error:" must be refused with that code, every other one accepted.
import asyncio
from typing import Any

from umbel import AsyncResult, Signature, Task, Umbel, chain, chord, current_app, group, shared_task

app = Umbel("shop")


@app.task
def add(x: int, y: int = 1) -> int:
    return x + y


@app.task(name="greet", max_retries=3, queue="mail")
def greet(name: str) -> str:
    return name


@app.task(bind=True, autoretry_for=(OSError,))
def fetch(self: Task[..., Any], url: str) -> bytes:
    self.retry(countdown=3)
    return self.request.id.encode() if self.request.id else b""


@app.task
async def pause(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


@shared_task
def shared(x: int) -> list[int]:
    return [x]


@shared_task(bind=True, ignore_result=True)
def shared_bound(self: Task[..., Any], x: int) -> None: ...


class Mail(Task[[str], int]):
    def run(self, to: str) -> int:
        return len(to)


mail = app.register_task(Mail)

direct: int = add(1, 2)
one: AsyncResult[int] = add.delay(1)
two: int = add.delay(1, y=2).get(timeout=3)
three: str = greet.delay("x").get()
four: bytes = fetch.delay("http://x").get()
five: str = pause.delay(0.5).get()
six: list[int] = shared.delay(1).get()
seven: int = mail.delay("bob").get()
eight: int = add.apply((1,)).get()
nine: int = add.apply_async((1, 2), countdown=3, priority=9).get()
ten: int = add.AsyncResult("id").get()
eleven: str | None = current_app.main
shared_bound.delay(3)


whole: Signature[int] = add.s(1, 2)
partial: Signature[int] = add.s(y=2)
empty: Signature[int] = add.s()
fixed: Signature[int] = add.si(1)
twelve: int = add.s(1).delay(2).get()
thirteen: int = add.si(1, y=2).apply().get()
fourteen: bytes = fetch.s("http://x").delay().get()
fifteen: str = (add.s(1) | greet.s()).delay().get()
sixteen: str = ~(add.s(1) | add.s(2) | greet.s())
seventeen: int = group([add.s(1), add.s(2)]).apply().get()[0]
of_each: list[int] = group([add.s(1), add.s(2)]).delay().get()
members = group([add.s(1), add.s(2)]).delay().results
eighteen: list[int] = (greet.s("x") | group(add.s(), add.s(2))).delay().get()
nineteen: str = (group(add.s(i) for i in range(3)) | greet.s()).delay().get()
twenty: str = chord([add.s(1)], greet.s()).delay().get()
some: int = chain(greet.s("x"), add.s()).delay().get()
many: list[int] = add.map([1, 2]).delay().get()
more: list[int] = add.starmap([(1, 2)]).delay().get()
most: int = add.s(1).on_error(greet.s()).set(queue="q").clone((3,)).delay().get()
given: Signature[Any] = app.signature({"task": "add"})
mail.s()
pause.s(0.5)
shared_bound.si(3)


@app.task(bind=True)
def replaced(self: Task[..., Any], x: int) -> int:
    if x:
        return self.replace(add.s(x, 1))
    self.add_to_chord(add.s(1))
    return x


async def wait() -> int:
    return await add.delay(1)


add.delay("x", 1)  # error: arg-type
add.delay()  # error: call-arg
add.delay(1, 2, 3)  # error: call-arg
add.delay(1, z=2)  # error: call-arg
fetch.delay(3)  # error: arg-type
pause.delay("long")  # error: arg-type
shared.delay("x")  # error: arg-type
shared_bound.delay("x")  # error: arg-type
mail.delay(3)  # error: arg-type
add.s("x", 1)  # error: call-overload
add.s(1, 2, 3)  # error: call-overload
add.s(1, z=2)  # error: call-overload
add.si("x")  # error: arg-type
add.si()  # error: call-arg
fetch.s(3)  # error: call-overload
mail.s(3)  # error: call-overload
wrong_call: str = add.s(1, 2).delay().get()  # error: assignment
wrong_chain: str = (greet.s("x") | add.s()).delay().get()  # error: assignment
wrong_group: list[str] = group([add.s(1)]).apply().get()  # error: assignment
wrong_chord: int = (group([add.s(1)]) | greet.s()).delay().get()  # error: assignment
add.s(1) | 3  # error: operator
wrong: str = add.delay(1).get()  # error: assignment
wrong_too: bytes = pause.delay(1).get()  # error: assignment
add.apply_async((1,), prority=3)  # error: call-arg
add.apply_async((1,), priority="high")  # error: arg-type
app.task(max_retry=3)  # error: call-overload
app.send_task("x", countdown="soon")  # error: arg-type
