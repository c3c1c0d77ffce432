#!/usr/bin/env python3
"""A writer of numbered lines to a socket that acknowledges: it holds each line until it hears `ok`, and sends it again to
whoever listens next. So nothing that was acknowledged is ever sent again. While FOLDER/cut is there, it hears nothing.

Usage: writer.py SOCKET FIRST PAUSE_MS FOLDER. It goes on until FOLDER/enough is there and every line is acknowledged, and leaves
in FOLDER/wrote.worker how many lines that were, in FOLDER/sent-again.worker how many of them it had to send more than once.
"""

import collections
import os
import random
import socket
import sys
import time

path, first, pause, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) / 1000, sys.argv[4]
next_number = first
# What was never acknowledged, oldest first.
waiting = collections.deque()
sent, sent_again = first - 1, set()


def line(n):
    return b'{"ts":"2025-01-15T10:15:32.%03dZ","event":"job","customer":"acme","n":%d}\n' % (n % 1000, n)


def serve(connection):
    """Sends what waits, hears that it is durable, goes on; returns when it is enough."""
    global next_number, sent
    answers = connection.makefile("rb")
    while True:
        if not waiting:
            if os.path.exists(os.path.join(folder, "enough")):
                return
            for _ in range(random.randint(1, 20)):
                waiting.append(next_number)
                next_number += 1
        sent_again.update(n for n in waiting if n <= sent)
        sent = max(sent, waiting[-1])
        connection.sendall(b"".join(map(line, waiting)))
        while waiting:
            answer = answers.readline()
            # An answer of a machine whose power is going is none.
            if answer != b"ok\n" or os.path.exists(os.path.join(folder, "cut")):
                raise ConnectionError(answer)
            waiting.popleft()
        time.sleep(pause)


while True:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            # A daemon that holds its answer back for so long is one that lost the line.
            connection.settimeout(60)
            connection.connect(path)
            serve(connection)
            break
    except TimeoutError:
        sys.exit("no answer for a minute")
    except OSError:
        time.sleep(0.02)

for name, number in (("wrote", next_number - first), ("sent-again", len(sent_again))):
    with open(os.path.join(folder, f"{name}.worker"), "w", encoding="ascii") as file:
        print(number, file=file)
