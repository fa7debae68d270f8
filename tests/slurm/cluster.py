"""A real Slurm on this one machine, for the `slurm` tests and for trying the profile.

    python tests/slurm/cluster.py up        # installs what is missing, starts everything; a second call changes nothing
    python tests/slurm/cluster.py install   # installs what is missing, and says why where it cannot
    python tests/slurm/cluster.py status
    python tests/slurm/cluster.py down      # stops what `up` started; `--purge` also forgets jobs and accounts

It needs root on Debian or Ubuntu, and only the standard library. Nodes: `cpu01`, and `gpu01` and `gpu02` with four fake
GPUs each (like /dev/null: CUDA_VISIBLE_DEVICES is set as on a real node, while no CUDA device exists). Partitions:
`main` (the default: cpu01 and gpu01), `gpu` (gpu01), `wide` (gpu01 and gpu02), and `urgent` (gpu01), whose jobs preempt
the others by requeueing them. Accounts: `research` (the default) and `teaching`.
"""

import argparse
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HOME = Path("/var/lib/trustdag-slurm")
LOGS = HOME / "log"
PIDS = HOME / "run"
CONFIGURATION = Path("/etc/slurm")
MARK = "# Written by tests/slurm/cluster.py"
PACKAGES = ("slurm-wlm", "slurmdbd", "munge", "mariadb-server")
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "mariadb-install-db", "sacctmgr", "sbatch")
NODES = ("cpu01", "gpu01", "gpu02")
GPUS = 4
DATABASE_PORT = 13306

SLURM_CONF = r"""{mark}
ClusterName=trustdag
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job may start again once its old credential has expired: 120 seconds unless told.
AuthInfo=cred_expire=10
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool/%n
SlurmctldPidFile={home}/run/slurmctld.pid
SlurmdPidFile={home}/run/slurmd-%n.pid
SlurmctldLogFile={home}/log/slurmctld.log
SlurmdLogFile={home}/log/slurmd-%n.log
# Nodes may claim more than this machine has; processes are found by their parents, so no cgroup is needed.
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
KillWait=10
MinJobAge=300
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# A step over its memory is killed, as cgroups do it on most clusters.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations
# Jobs without GPUs go to the node without GPUs while it has room.
NodeName=cpu01 NodeAddr=127.0.0.1 NodeHostname={host} Port=17001 CPUs=8 RealMemory=65536 Weight=1
NodeName=gpu01 NodeAddr=127.0.0.1 NodeHostname={host} Port=17002 CPUs=8 RealMemory=65536 \
    Gres=gpu:a100:{gpus} Feature=a100 Weight=2
NodeName=gpu02 NodeAddr=127.0.0.1 NodeHostname={host} Port=17003 CPUs=8 RealMemory=65536 \
    Gres=gpu:a100:{gpus} Feature=a100 Weight=3
PartitionName=main Nodes=cpu01,gpu01 Default=YES MaxTime=7-0 PriorityTier=1
PartitionName=gpu Nodes=gpu01 MaxTime=7-0 PriorityTier=1
PartitionName=wide Nodes=gpu01,gpu02 MaxTime=7-0 PriorityTier=1
PartitionName=urgent Nodes=gpu01 MaxTime=1-0 PriorityTier=10 PreemptMode=OFF
"""

GRES_CONF = "{mark}\nNodeName=gpu01,gpu02 Name=gpu Type=a100 File=/dev/fakegpu[0-{last}]\n"

SLURMDBD_CONF = """{mark}
DbdHost=localhost
DbdAddr=127.0.0.1
SlurmUser=root
AuthType=auth/munge
PidFile={home}/run/slurmdbd.pid
LogFile={home}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct_db
"""


class ClusterError(Exception):
    """What the user can mend; printed without a traceback."""


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("up", "down", "install", "status"))
    parser.add_argument("--purge", action="store_true", help="with down: also forget jobs and accounts")
    arguments = parser.parse_args(argv)
    try:
        if arguments.action == "up":
            up()
        elif arguments.action == "install":
            check_machine()
            install_packages()
            return 0
        elif arguments.action == "down":
            down(purge=arguments.purge)
        print(status())
    except ClusterError as error:
        print(f"slurm cluster: {error}", file=sys.stderr)
        return 2
    return 0


def up() -> None:
    """Starts what does not run yet, in the order of dependence, and waits until all nodes are idle."""
    check_machine()
    install_packages()
    for folder in (LOGS, PIDS, HOME / "state", HOME / "database", *(HOME / "spool" / node for node in NODES)):
        folder.mkdir(parents=True, exist_ok=True)
    make_fake_gpus()
    password = database_password()
    write_configuration(password)
    start_munge()
    start_database(password)
    start("slurmdbd", ["slurmdbd"], lambda: succeeds("sacctmgr", "-n", "show", "cluster"))
    make_accounts()
    fresh = not running("slurmctld")
    start("slurmctld", ["slurmctld"], lambda: succeeds("scontrol", "ping"))
    if fresh:  # jobs that a reboot left in the queue would start again
        captured(["scancel", "--user", "root"])
    for node in NODES:
        start_node(node)
    wait_for("all nodes to be idle", nodes_are_up, log=LOGS / "slurmctld.log")


def down(purge: bool) -> None:
    """Stops what `up` started, by the process ids it left; other Slurm daemons are never touched."""
    check_root()
    names = [f"slurmd-{node}" for node in NODES] + ["slurmctld", "slurmdbd", "mariadbd", "munged"]
    if running("slurmctld"):
        subprocess.run(["scancel", "--user", "root"], check=False, capture_output=True, timeout=30)
    for name in names:
        stop(name)
    # With a configuration but no daemon, Slurm's commands try for nine seconds, and so does every start of Snakemake.
    for file in configuration_files():
        if file.exists() and file.read_text().startswith(MARK):
            file.unlink()
    if purge:
        shutil.rmtree(HOME, ignore_errors=True)


def status() -> str:
    """`sinfo` of the cluster, or that it is down."""
    if not running("slurmctld"):
        return "slurm cluster: down"
    return subprocess.run(["sinfo"], check=True, capture_output=True, text=True, timeout=30).stdout.rstrip()


def check_root() -> None:
    if os.geteuid() != 0:
        raise ClusterError("needs root: run it in a container or virtual machine where you are root")


def check_machine() -> None:
    """Raises ClusterError unless we are root and no other Slurm is configured here."""
    check_root()
    for file in configuration_files():
        if file.exists() and not file.read_text().startswith(MARK):
            raise ClusterError(f"{file}: this machine has a Slurm of its own; use it, or run this on another machine")


def install_packages() -> None:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(
            f"not installed: {', '.join(missing)}; no apt-get here, so install {' '.join(PACKAGES)} first"
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"apt-get {command[0]} failed: {last_lines(done.stderr)}")


def configuration_files() -> list[Path]:
    return [CONFIGURATION / name for name in ("slurm.conf", "slurmdbd.conf", "gres.conf")]


def write_configuration(password: str) -> None:
    """Writes the three files whose content differs; slurmdbd.conf is for root's eyes only."""
    host = socket.gethostname()
    values = {"mark": MARK, "home": HOME, "host": host, "gpus": GPUS, "last": GPUS - 1, "port": DATABASE_PORT}
    for file, template in zip(configuration_files(), (SLURM_CONF, SLURMDBD_CONF, GRES_CONF), strict=True):
        text = template.format(password=password, **values)
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(exist_ok=True)
            file.touch(mode=0o600)
            file.chmod(0o600 if file.name == "slurmdbd.conf" else 0o644)
            file.write_text(text)


def database_password() -> str:
    file = HOME / "password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(16))
    return file.read_text()


def make_fake_gpus() -> None:
    """Character devices like /dev/null: Slurm wants a device file for each GPU that it hands out."""
    for index in range(GPUS):
        device = Path(f"/dev/fakegpu{index}")
        if not device.exists():
            os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))


def start_munge() -> None:
    """Uses a running munge, or starts one as its own user."""
    if succeeds("munge", "-n"):
        return
    user = pwd.getpwnam("munge")
    for folder in (Path("/run/munge"), Path("/var/log/munge"), Path("/var/lib/munge")):
        folder.mkdir(exist_ok=True)
        os.chown(folder, user.pw_uid, user.pw_gid)
    Path("/run/munge").chmod(0o755)
    spawn("munged", ["munged", "--foreground"], user="munge")
    wait_for("munge", lambda: succeeds("munge", "-n"), log=LOGS / "munged.log")


def start_database(password: str) -> None:
    """Starts a MariaDB of our own, apart from any that the machine has, with the account of slurmdbd."""
    folder = HOME / "database"
    user = pwd.getpwnam("mysql")
    os.chown(folder, user.pw_uid, user.pw_gid)
    HOME.chmod(0o755)
    if not (folder / "mysql").exists():
        command = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}", "--user=mysql", "--skip-test-db"]
        subprocess.run(command, check=True, capture_output=True)
    if not running("mariadbd"):
        options = [f"--datadir={folder}", f"--socket={folder}/socket", f"--port={DATABASE_PORT}"]
        tuning = ["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900"]
        spawn("mariadbd", ["mariadbd", "--no-defaults", "--user=mysql", *options, *tuning])
    client = ["mariadb", "--no-defaults", f"--socket={folder}/socket", "--user=root"]
    wait_for("mariadb", lambda: succeeds(*client, "-e", "select 1"), log=LOGS / "mariadbd.log")
    account = f"create or replace user slurm@127.0.0.1 identified by '{password}';"
    grants = "create database if not exists slurm_acct_db; grant all on slurm_acct_db.* to slurm@127.0.0.1;"
    subprocess.run(client, input=account + grants, text=True, check=True, capture_output=True)


def make_accounts() -> None:
    """Accounts `research` and `teaching`, which root may use: what exists already is left as it is."""
    for command in (
        ("add", "cluster", "trustdag"),
        ("add", "account", "research", "cluster=trustdag"),
        ("add", "account", "teaching", "cluster=trustdag"),
        ("add", "user", "root", "account=research,teaching"),
        ("modify", "user", "root", "set", "defaultaccount=research"),
    ):
        subprocess.run(["sacctmgr", "-i", *command], check=False, capture_output=True, timeout=60)
    accounts = captured(["sacctmgr", "-nP", "show", "assoc", "user=root", "format=account"]).stdout
    if set(accounts.split()) < {"research", "teaching"}:
        raise ClusterError(f"sacctmgr made no accounts for root; see {LOGS / 'slurmdbd.log'}")


def start_node(node: str) -> None:
    """Starts one node's slurmd and takes the node back into service after a crash or a kill."""
    start(f"slurmd-{node}", ["slurmd", "-N", node], lambda: running(f"slurmd-{node}"))
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False, capture_output=True)


def kill_node(node: str) -> None:
    """Kills a node's slurmd and every job step on it, as a power cut would."""
    file = PIDS / f"slurmd-{node}.pid"
    slurmd = int(file.read_text())
    listed = captured(["ps", "-eo", "pid=,ppid=,args="]).stdout.splitlines()
    processes = {int(line.split()[0]): (int(line.split()[1]), line.split(None, 2)[2]) for line in listed}
    steps = [pid for pid, (_, command) in processes.items() if "slurmstepd" in command and on_node(pid, node)]
    children = [pid for pid in processes if descends(pid, set(steps), processes)]
    for pid in [slurmd, *steps, *children]:
        kill(pid, signal.SIGKILL)
    file.unlink(missing_ok=True)


def on_node(pid: int, node: str) -> bool:
    """Whether a slurmstepd belongs to a node: it keeps its slurmd's log file open."""
    try:
        opened = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return str(LOGS / f"slurmd-{node}.log") in opened


def descends(pid: int, ancestors: set[int], processes: dict[int, tuple[int, str]]) -> bool:
    while pid in processes:
        pid = processes[pid][0]
        if pid in ancestors:
            return True
    return False


def nodes_are_up() -> bool:
    lines = captured(["sinfo", "-hN", "-o", "%N %t"]).stdout.split()
    states = dict(zip(lines[::2], lines[1::2], strict=False))
    return set(states) == set(NODES) and all(state in ("idle", "mix", "alloc") for state in states.values())


def start(name: str, command: list[str], ready: Callable[[], bool]) -> None:
    """Starts a Slurm daemon, which writes its own pid file, unless it runs; waits until it is ready."""
    if not running(name):
        done = captured(command)
        if done.returncode:
            raise ClusterError(f"{name} did not start: {last_lines(done.stderr) or f'see {LOGS}/{name}.log'}")
    wait_for(name, ready, log=LOGS / f"{name}.log")


def spawn(name: str, command: list[str], user: str | None = None) -> None:
    """Starts a process of its own session that stays in the foreground, and notes its pid."""
    with (LOGS / f"{name}.log").open("a") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user, start_new_session=True
        )
    (PIDS / f"{name}.pid").write_text(str(process.pid))


def stop(name: str) -> None:
    """Asks a process of ours to end, and kills it after 20 seconds."""
    file = PIDS / f"{name}.pid"
    if running(name):
        pid = int(file.read_text())
        kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while running(name) and time.monotonic() < deadline:
            time.sleep(0.1)
        if running(name):
            kill(pid, signal.SIGKILL)
    file.unlink(missing_ok=True)


def running(name: str) -> bool:
    """Whether the process in a pid file runs and is the program that the file is named after."""
    file = PIDS / f"{name}.pid"
    try:
        pid = int(file.read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and name.partition("-")[0] in Path(f"/proc/{pid}/cmdline").read_text()
    except (OSError, ValueError):
        return False


def kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def wait_for(what: str, condition: Callable[[], bool], log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            tail = last_lines(log.read_text(errors="replace")) if log.exists() else "no log"
            raise ClusterError(f"waited {seconds:.0f} s for {what}; {log}: {tail}")
        time.sleep(0.2)


def captured(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Runs a command for at most a minute."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def last_lines(text: str, count: int = 3) -> str:
    return " | ".join(text.strip().splitlines()[-count:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
