"""A server that is a program: started, supervised, and spoken to by lines of JSON on its input and output."""

import asyncio
import contextlib
import os
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable
from types import TracebackType

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from kubiya_workers.launchers import pipes
from kubiya_workers.launchers.guard import Guard, end_group, start_time

from ..call import ToolFault
from .target import Program

Read = MemoryObjectReceiveStream[SessionMessage | Exception]
Write = MemoryObjectSendStream[SessionMessage]

LONGEST_MESSAGE = 8 * 1024 * 1024
"""Bytes of one message; a server that sends a longer one is given up."""
_GRACE_S = 1.0
"""How long it may take to end once its input has ended, and again once it is asked to."""
_LAST_LINES = 5
_LONGEST_LINE = 300
_LATE_S = 0.5


class ProgramLink:
    """The transport of one server that is a program; `said` gets each line of its standard error."""

    def __init__(self, program: Program, guard: Guard | None, said: Callable[[str], None]) -> None:
        self._program = program
        self._guard = guard
        self._said = said
        self._last = deque[str](maxlen=_LAST_LINES)
        self._nonsense: str | None = None
        self._broken: str | None = None
        self.ended = asyncio.Event()
        self.is_away = False
        self._process: Process | None = None
        self._start = ""
        self._was_asked_to_end = False
        self._tasks: list[asyncio.Task[None]] = []
        self._closers = contextlib.ExitStack()

    async def __aenter__(self) -> tuple[Read, Write]:
        heard, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, sent = anyio.create_memory_object_stream[SessionMessage](0)
        for stream in (heard, incoming, outgoing, sent):
            self._closers.callback(stream.close)
        try:
            await self._begin(heard, sent)
        except BaseException:
            await self._end()
            raise
        return incoming, outgoing

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def problem(self) -> str:
        """What went wrong, as far as the program shows it."""
        if self._process is not None and not self._was_asked_to_end:
            with contextlib.suppress(TimeoutError):
                # It may be about to end, and to say why.
                await asyncio.wait_for(self._process.wait(), _LATE_S)
        ended = None if self._process is None or self._was_asked_to_end else self._process.returncode
        words = [self._broken] if self._broken else []
        if ended is not None:
            words.append(f"it ended by signal {-ended}" if ended < 0 else f"it ended with exit status {ended}")
        if self._nonsense is not None:
            words.append(f"it printed what is no message of the protocol: {self._nonsense!r}")
        if self._last:
            words.append("its last words: " + " | ".join(self._last))
        return "; ".join(words)

    async def _begin(
        self, heard: MemoryObjectSendStream[SessionMessage | Exception], sent: MemoryObjectReceiveStream[SessionMessage]
    ) -> None:
        out_reading, out_writing = os.pipe()
        err_reading, err_writing = os.pipe()
        try:
            # The readers are there before the program, and are closed by us, whoever still holds the other ends.
            output, errors = await self._reader(out_reading), await self._reader(err_reading)
            self._process = await self._spawn(out_writing, err_writing)
        finally:
            os.close(out_writing)
            os.close(err_writing)
        self._start = start_time(self._process.pid)
        if self._guard is not None:
            self._guard.adopt(self._process.pid, grace=_GRACE_S)
        self._tasks = [
            asyncio.create_task(self._hear(output, heard), name="mcp-hear"),
            asyncio.create_task(self._listen(errors), name="mcp-errors"),
            asyncio.create_task(self._speak(self._process, sent), name="mcp-speak"),
        ]

    async def _reader(self, descriptor: int) -> asyncio.StreamReader:
        pipe = await pipes.read(descriptor, limit=LONGEST_MESSAGE)
        self._closers.callback(pipe.close)
        return pipe.reader

    async def _spawn(self, output: int, errors: int) -> Process:
        program = self._program
        try:
            return await asyncio.create_subprocess_exec(
                *program.words,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=errors,
                cwd=program.directory,
                env=dict(program.environment),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ToolFault(f"{program.words[0]!r} could not be started: {reason}") from None

    async def _hear(
        self, output: asyncio.StreamReader, heard: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        try:
            with heard, contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                while line := await self._line(output):
                    message = self._message(line) if line.strip() else None
                    if message is not None:
                        await heard.send(message)
        finally:
            self.ended.set()

    def _message(self, line: bytes) -> SessionMessage | None:
        """Programs print what they should not; one that speaks the protocol besides is a server all the same."""
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            self._nonsense = self._nonsense or line.decode("utf-8", "replace").strip()[:_LONGEST_LINE]
            return None

    async def _line(self, output: asyncio.StreamReader) -> bytes:
        try:
            return await output.readline()
        except ValueError:
            self._broken = f"it sent a message of more than {LONGEST_MESSAGE // 1024**2} MiB"
            return b""

    async def _listen(self, errors: asyncio.StreamReader) -> None:
        async for lines in pipes.whole_lines(errors):
            for line in lines.decode("utf-8", "replace").splitlines():
                if line.strip():
                    self._last.append(line.strip()[:_LONGEST_LINE])
                    self._said(line.rstrip())

    @staticmethod
    async def _speak(process: Process, sent: MemoryObjectReceiveStream[SessionMessage]) -> None:
        assert process.stdin is not None  # it was started with a pipe
        with contextlib.suppress(ConnectionError, anyio.ClosedResourceError):
            async for message in sent:
                line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(line.encode() + b"\n")
                await process.stdin.drain()

    async def _end(self) -> None:
        """End the program as the protocol has it: its input ends, then it is asked, then it is killed, with all that
        it started."""
        process = self._process
        self._was_asked_to_end = not self.ended.is_set()
        try:
            if process is not None:
                await self._end_program(process)
            if self._tasks:
                # Its last words may still be in the pipe; whoever else holds that open is not waited for.
                await asyncio.wait(self._tasks, timeout=_LATE_S)
        finally:
            for task in self._tasks:
                task.cancel()
            self._closers.close()

    async def _end_program(self, process: Process) -> None:
        try:
            if process.stdin is not None:
                process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _GRACE_S)
        finally:
            await end_group(process.pid, _GRACE_S, start=self._start)
            if self._guard is not None:
                self._guard.release(process.pid)
        await process.wait()
