"""What the system knows of this process, its disk and its network, read at each scrape."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ProcessCollector(Collector):
    """Under the names that every Prometheus client has for them."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def collect(self) -> Iterator[Metric]:
        process = self._process
        with process.oneshot():
            times = process.cpu_times()
            rss = process.memory_info().rss
            yield CounterMetricFamily("process_cpu_seconds", "CPU time of this process.", times.user + times.system)
            yield GaugeMetricFamily("process_resident_memory_bytes", "Memory of this process.", rss)
            yield GaugeMetricFamily("process_start_time_seconds", "When it started.", process.create_time())
            yield GaugeMetricFamily("process_open_fds", "Its open file descriptors.", process.num_fds())


class NetworkCollector(Collector):
    """The system counts no bytes by process: these are the machine's, or in a container the container's."""

    def __init__(self, prefix: str) -> None:
        self._name = f"{prefix}_host_network"

    def collect(self) -> Iterator[Metric]:
        network = psutil.net_io_counters()
        if network is None:  # pyright: ignore[reportUnnecessaryComparison]  # on a machine without interfaces
            return
        help_ = "Bytes over all interfaces of this host or container, whoever they were for."
        yield CounterMetricFamily(f"{self._name}_receive_bytes", help_, network.bytes_recv)
        yield CounterMetricFamily(f"{self._name}_transmit_bytes", help_, network.bytes_sent)


class DiskCollector(Collector):
    """The file system that holds a directory; nothing while there is no such directory."""

    def __init__(self, prefix: str, directory: Path) -> None:
        self._name = f"{prefix}_disk"
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        try:
            usage = shutil.disk_usage(self._directory)
        except OSError:
            return
        yield GaugeMetricFamily(f"{self._name}_free_bytes", "Free space where it keeps its files.", usage.free)
        yield GaugeMetricFamily(f"{self._name}_size_bytes", "Size of the file system of its files.", usage.total)
