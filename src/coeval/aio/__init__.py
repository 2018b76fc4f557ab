"""The asyncio face: the names of the blocking one, as coroutines, ``async with`` and ``async for``.

    database.py          aopen, AsyncDatabase
    reads.py writes.py direct.py units.py streams.py blob.py    the calls, units and iterators
    brief.py             reads on the loop's own thread, under a budget; `coeval.pace` says which
    jobs.py lanes.py     calls in workers, awaited and cancelled; units lent to workers

`coeval.workers` has the threads. Nothing here is imported before `coeval.aopen` or `Database.aio` is asked for.

Ring: shell.
"""

from .blob import AsyncBlob
from .database import AsyncDatabase, aopen
from .reads import AsyncReads
from .streams import AsyncRowStream
from .units import AsyncSavepoint, AsyncSnapshot, AsyncTransaction

__all__ = [
    "AsyncBlob",
    "AsyncDatabase",
    "AsyncReads",
    "AsyncRowStream",
    "AsyncSavepoint",
    "AsyncSnapshot",
    "AsyncTransaction",
    "aopen",
]
