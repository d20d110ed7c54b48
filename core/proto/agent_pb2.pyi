from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FactsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FactsResponse(_message.Message):
    __slots__ = ("machine_id", "boot_id", "hostname", "os", "kernel", "architecture", "cpus", "memory_bytes", "agent_version", "runtime", "booted_at_us", "metadata", "kv_connected", "kv_since_us")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    OS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    BOOTED_AT_US_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    KV_CONNECTED_FIELD_NUMBER: _ClassVar[int]
    KV_SINCE_US_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    boot_id: str
    hostname: str
    os: str
    kernel: str
    architecture: str
    cpus: int
    memory_bytes: int
    agent_version: str
    runtime: str
    booted_at_us: int
    metadata: _containers.ScalarMap[str, str]
    kv_connected: bool
    kv_since_us: int
    def __init__(self, machine_id: _Optional[str] = ..., boot_id: _Optional[str] = ..., hostname: _Optional[str] = ..., os: _Optional[str] = ..., kernel: _Optional[str] = ..., architecture: _Optional[str] = ..., cpus: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., agent_version: _Optional[str] = ..., runtime: _Optional[str] = ..., booted_at_us: _Optional[int] = ..., metadata: _Optional[_Mapping[str, str]] = ..., kv_connected: _Optional[bool] = ..., kv_since_us: _Optional[int] = ...) -> None: ...

class WatchUsageRequest(_message.Message):
    __slots__ = ("period_ms",)
    PERIOD_MS_FIELD_NUMBER: _ClassVar[int]
    period_ms: int
    def __init__(self, period_ms: _Optional[int] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("at_us", "cpu_percent", "memory_used_bytes", "memory_total_bytes", "load1", "disk_used_bytes", "disk_total_bytes", "pressure", "reboot_required", "clock_offset_seconds")
    class PressureEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    AT_US_FIELD_NUMBER: _ClassVar[int]
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD1_FIELD_NUMBER: _ClassVar[int]
    DISK_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_FIELD_NUMBER: _ClassVar[int]
    REBOOT_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_SECONDS_FIELD_NUMBER: _ClassVar[int]
    at_us: int
    cpu_percent: float
    memory_used_bytes: int
    memory_total_bytes: int
    load1: float
    disk_used_bytes: int
    disk_total_bytes: int
    pressure: _containers.ScalarMap[str, float]
    reboot_required: bool
    clock_offset_seconds: float
    def __init__(self, at_us: _Optional[int] = ..., cpu_percent: _Optional[float] = ..., memory_used_bytes: _Optional[int] = ..., memory_total_bytes: _Optional[int] = ..., load1: _Optional[float] = ..., disk_used_bytes: _Optional[int] = ..., disk_total_bytes: _Optional[int] = ..., pressure: _Optional[_Mapping[str, float]] = ..., reboot_required: _Optional[bool] = ..., clock_offset_seconds: _Optional[float] = ...) -> None: ...

class NowRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NowResponse(_message.Message):
    __slots__ = ("now_us",)
    NOW_US_FIELD_NUMBER: _ClassVar[int]
    now_us: int
    def __init__(self, now_us: _Optional[int] = ...) -> None: ...

class PingRequest(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class PingResponse(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class UnitState(_message.Message):
    __slots__ = ("name", "load", "active", "sub", "hash", "since_us", "result", "exit_status", "main_pid", "restarts", "description")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    SUB_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    MAIN_PID_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    load: str
    active: str
    sub: str
    hash: str
    since_us: int
    result: str
    exit_status: int
    main_pid: int
    restarts: int
    description: str
    def __init__(self, name: _Optional[str] = ..., load: _Optional[str] = ..., active: _Optional[str] = ..., sub: _Optional[str] = ..., hash: _Optional[str] = ..., since_us: _Optional[int] = ..., result: _Optional[str] = ..., exit_status: _Optional[int] = ..., main_pid: _Optional[int] = ..., restarts: _Optional[int] = ..., description: _Optional[str] = ...) -> None: ...

class ListUnitsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListUnitsResponse(_message.Message):
    __slots__ = ("units",)
    UNITS_FIELD_NUMBER: _ClassVar[int]
    units: _containers.RepeatedCompositeFieldContainer[UnitState]
    def __init__(self, units: _Optional[_Iterable[_Union[UnitState, _Mapping]]] = ...) -> None: ...

class Process(_message.Message):
    __slots__ = ("pid", "command", "memory_bytes", "cpu_seconds")
    PID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    pid: int
    command: str
    memory_bytes: int
    cpu_seconds: float
    def __init__(self, pid: _Optional[int] = ..., command: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., cpu_seconds: _Optional[float] = ...) -> None: ...

class UnitResources(_message.Message):
    __slots__ = ("memory_bytes", "cpu_seconds", "tasks", "read_bytes", "written_bytes", "pressure")
    class PressureEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BYTES_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_FIELD_NUMBER: _ClassVar[int]
    memory_bytes: int
    cpu_seconds: float
    tasks: int
    read_bytes: int
    written_bytes: int
    pressure: _containers.ScalarMap[str, float]
    def __init__(self, memory_bytes: _Optional[int] = ..., cpu_seconds: _Optional[float] = ..., tasks: _Optional[int] = ..., read_bytes: _Optional[int] = ..., written_bytes: _Optional[int] = ..., pressure: _Optional[_Mapping[str, float]] = ...) -> None: ...

class UnitStatusRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class UnitStatusResponse(_message.Message):
    __slots__ = ("state", "processes", "ignored", "status_text", "resources", "runs", "containers")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    STATUS_TEXT_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    state: UnitState
    processes: _containers.RepeatedCompositeFieldContainer[Process]
    ignored: _containers.RepeatedScalarFieldContainer[str]
    status_text: str
    resources: UnitResources
    runs: TimerRuns
    containers: _containers.RepeatedCompositeFieldContainer[Container]
    def __init__(self, state: _Optional[_Union[UnitState, _Mapping]] = ..., processes: _Optional[_Iterable[_Union[Process, _Mapping]]] = ..., ignored: _Optional[_Iterable[str]] = ..., status_text: _Optional[str] = ..., resources: _Optional[_Union[UnitResources, _Mapping]] = ..., runs: _Optional[_Union[TimerRuns, _Mapping]] = ..., containers: _Optional[_Iterable[_Union[Container, _Mapping]]] = ...) -> None: ...

class TimerRuns(_message.Message):
    __slots__ = ("last_us", "next_us")
    LAST_US_FIELD_NUMBER: _ClassVar[int]
    NEXT_US_FIELD_NUMBER: _ClassVar[int]
    last_us: int
    next_us: int
    def __init__(self, last_us: _Optional[int] = ..., next_us: _Optional[int] = ...) -> None: ...

class Container(_message.Message):
    __slots__ = ("engine", "id", "name", "image", "state", "health", "ports", "unit", "pid", "resources")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    engine: str
    id: str
    name: str
    image: str
    state: str
    health: str
    ports: _containers.RepeatedScalarFieldContainer[str]
    unit: str
    pid: int
    resources: UnitResources
    def __init__(self, engine: _Optional[str] = ..., id: _Optional[str] = ..., name: _Optional[str] = ..., image: _Optional[str] = ..., state: _Optional[str] = ..., health: _Optional[str] = ..., ports: _Optional[_Iterable[str]] = ..., unit: _Optional[str] = ..., pid: _Optional[int] = ..., resources: _Optional[_Union[UnitResources, _Mapping]] = ...) -> None: ...

class ListContainersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListContainersResponse(_message.Message):
    __slots__ = ("containers", "problems")
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    containers: _containers.RepeatedCompositeFieldContainer[Container]
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, containers: _Optional[_Iterable[_Union[Container, _Mapping]]] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("rows", "columns")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("argv", "container", "terminal", "term")
    ARGV_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    argv: _containers.RepeatedScalarFieldContainer[str]
    container: str
    terminal: Window
    term: str
    def __init__(self, argv: _Optional[_Iterable[str]] = ..., container: _Optional[str] = ..., terminal: _Optional[_Union[Window, _Mapping]] = ..., term: _Optional[str] = ...) -> None: ...

class CommandInput(_message.Message):
    __slots__ = ("begin", "data", "resize", "end")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    begin: Command
    data: bytes
    resize: Window
    end: bool
    def __init__(self, begin: _Optional[_Union[Command, _Mapping]] = ..., data: _Optional[bytes] = ..., resize: _Optional[_Union[Window, _Mapping]] = ..., end: _Optional[bool] = ...) -> None: ...

class CommandOutput(_message.Message):
    __slots__ = ("data", "error", "status")
    DATA_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    error: bytes
    status: int
    def __init__(self, data: _Optional[bytes] = ..., error: _Optional[bytes] = ..., status: _Optional[int] = ...) -> None: ...

class ReloadUnitRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ReloadUnitResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResetFailedUnitRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ResetFailedUnitResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadJournalRequest(_message.Message):
    __slots__ = ("units", "priority", "after_cursor", "since_us", "lines", "follow", "grep", "boot", "identifier", "all_fields", "everything")
    UNITS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    AFTER_CURSOR_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    GREP_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELDS_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    units: _containers.RepeatedScalarFieldContainer[str]
    priority: int
    after_cursor: str
    since_us: int
    lines: int
    follow: bool
    grep: str
    boot: str
    identifier: str
    all_fields: bool
    everything: bool
    def __init__(self, units: _Optional[_Iterable[str]] = ..., priority: _Optional[int] = ..., after_cursor: _Optional[str] = ..., since_us: _Optional[int] = ..., lines: _Optional[int] = ..., follow: _Optional[bool] = ..., grep: _Optional[str] = ..., boot: _Optional[str] = ..., identifier: _Optional[str] = ..., all_fields: _Optional[bool] = ..., everything: _Optional[bool] = ...) -> None: ...

class JournalEntry(_message.Message):
    __slots__ = ("cursor", "realtime_us", "unit", "priority", "message", "pid", "identifier", "fields")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    REALTIME_US_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    realtime_us: int
    unit: str
    priority: int
    message: bytes
    pid: int
    identifier: str
    fields: _containers.ScalarMap[str, bytes]
    def __init__(self, cursor: _Optional[str] = ..., realtime_us: _Optional[int] = ..., unit: _Optional[str] = ..., priority: _Optional[int] = ..., message: _Optional[bytes] = ..., pid: _Optional[int] = ..., identifier: _Optional[str] = ..., fields: _Optional[_Mapping[str, bytes]] = ...) -> None: ...

class JournalBatch(_message.Message):
    __slots__ = ("entries", "gap", "caught_up")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[JournalEntry]
    gap: bool
    caught_up: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[JournalEntry, _Mapping]]] = ..., gap: _Optional[bool] = ..., caught_up: _Optional[bool] = ...) -> None: ...
