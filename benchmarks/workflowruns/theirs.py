# mypy: ignore-errors
"""The workflows of the benchmark on Celery."""

import json
import os
import random
import sys
import threading
import time

from celery import Celery, chain, chord

app = Celery("workflows", broker=os.environ["BENCH_URL"], backend=os.environ["BENCH_URL"])
SECONDS = 280


@app.task(name="increase")
def increase(number, by=1):
    return number + by


@app.task(name="total")
def total(numbers):
    return sum(numbers)


#: Between two looks: a message waits for about as long.
LOOK_SECONDS = 0.001


class Watch(threading.Thread):
    """Looks at the messages that wait: the largest it sees."""

    def __init__(self):
        super().__init__(daemon=True)
        self.largest = 0
        self.ended = False

    def run(self):
        import redis

        client = redis.Redis.from_url(os.environ["BENCH_URL"])
        while not self.ended:
            for message in client.lrange("celery", 0, 1):
                self.largest = max(self.largest, len(message))
            for message in client.hscan("unacked", count=2)[1].values():
                self.largest = max(self.largest, len(message))
            time.sleep(LOOK_SECONDS)


def nested(draw, depth):
    if depth == 0:
        number = draw.randrange(100)
        return increase.s(number), number + 1
    if draw.random() < 0.4:
        inner, value = nested(draw, depth - 1)
        return chain(inner, increase.s(), increase.s()), value + 2
    members = [nested(draw, depth - 1) for _ in range(draw.randint(2, 3))]
    return chord([member for member, _ in members], total.s()), sum(value for _, value in members)


def main(what, size):
    sys.setrecursionlimit(100_000)
    increase.delay(1).get(timeout=60)
    watch = Watch()
    watch.start()
    if what == "chain":
        made = chain(*[increase.s(0), *(increase.s() for _ in range(size - 1))])
        right, messages = made.apply_async().get(timeout=SECONDS) == size, size
    elif what == "chord":
        made = chord([increase.s(number) for number in range(size)])(total.s())
        right, messages = made.get(timeout=SECONDS) == sum(range(1, size + 1)), size + 1
    else:
        draw = random.Random(7)
        pairs = [nested(draw, 3) for _ in range(size)]
        results = [signature.apply_async() for signature, _ in pairs]
        right = [result.get(timeout=SECONDS) for result in results] == [value for _, value in pairs]
        messages = 0
    watch.ended = True
    print(json.dumps([right, messages, watch.largest]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
