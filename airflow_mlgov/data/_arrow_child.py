"""The process that converts an Arrow file to parquet under a limit of memory. It imports nothing of this package."""

import resource
import sys
from typing import Any

ENVIRONMENT = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
TOO_LARGE, UNREADABLE = 3, 4
_ITSELF = 512 << 20
"""What Python and PyArrow need."""


def main(source: str, target: str, limit: int) -> int:
    """Convert, batch by batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    most = limit + _ITSELF
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with pa.memory_map(source) as file:
            reader = _reader(pa, file)
            with pq.ParquetWriter(target, reader.schema) as writer:
                for batch in _batches(reader):
                    writer.write_batch(batch)
    except (MemoryError, pa.ArrowMemoryError):
        return TOO_LARGE
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        print(str(error).splitlines()[0] if str(error) else type(error).__name__)
        return UNREADABLE
    return 0


def _reader(pa: Any, file: Any) -> Any:
    if file.read(6) == b"ARROW1":
        return pa.ipc.open_file(file)
    file.seek(0)
    if file.read(4) == b"FEA1":
        raise ValueError("it is Feather version 1; write it anew with pyarrow.feather.write_feather")
    file.seek(0)
    return pa.ipc.open_stream(file)


def _batches(reader: Any) -> Any:
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(at) for at in range(reader.num_record_batches))
    return iter(reader)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
