/**
 * The fence around a computer on its host. A command outlives the daemon that sent it: a cut connection, a kill -9, a pause
 * of a minute leave it running, or leave it stopped and running later. So every script that changes something of a
 * computer says whose work it is, and asks, with a lock held until it ends, whether newer work has begun meanwhile.
 *
 * The note `<folder of the disks>/.<computer>.load` holds `<management node> <token of the lease> <turn>` of the newest work
 * that changed something. It is never removed: a command that wakes up late must find it. Scripts of the same work share
 * the lock; newer work waits until they have ended, and writes its note only then.
 */
import { findError, ProvisiondError } from '../errors';

/** The exit code of a script that found newer work. */
export const FENCED_OFF = 113;

const LOCK_WAIT_SECONDS = 45;

/** Later work of this process is newer; of another process the token tells. */
let turns = 0;

export class Fence {
  private turn = ++turns;

  /**
   * @param file the note on the host
   * @param token of the lease that this work is done under
   */
  constructor(
    private readonly file: string,
    private readonly managementNodeId: number,
    private readonly token: number,
  ) {}

  /** What others did while this work waited for people was no newer work: from now on this is. */
  renew(): void {
    this.turn = ++turns;
  }

  /** Names this work, to be part of the names of unfinished files. */
  get mark(): string {
    return `${this.managementNodeId}-${this.token}-${this.turn}`;
  }

  /**
   * A command may still be under way, and what follows must not be mixed up with it: it is older work from now on.
   * @param error of the call; only an unknown end makes a difference
   */
  afterError(error: unknown): void {
    if (findError(error, 'OUTCOME_UNKNOWN') || findError(error, 'COMMAND_TIMEOUT')) this.renew();
  }

  /** The script behind the fence: to be run with {@link args} before its own arguments. It calls `fence` itself. */
  guard(script: string): string {
    if (!/^ *fence$/m.test(script)) throw new ProvisiondError('INTERNAL', 'a script that changes a host has no fence');
    return `${FENCE}${script}`;
  }

  get args(): (string | number)[] {
    return [this.file, this.managementNodeId, this.token, this.turn];
  }

  /** @throws CLAIM_LOST for a script that found newer work */
  check(exitCode: number, doing: string): void {
    if (exitCode !== FENCED_OFF) return;
    throw new ProvisiondError('CLAIM_LOST', `${doing}: newer work on the computer has begun`, {
      details: { note: this.file },
    });
  }
}

/**
 * Shell functions, for POSIX shells with util-linux. `fence` returns with the lock held, ours being the newest work; `unfence`
 * gives the lock back before something that takes long. The note is overwritten in place, without truncating it, so that
 * a full disk cannot empty it.
 */
const FENCE = `
fence_file=$1 fence_node=$2 fence_token=$3 fence_turn=$4
shift 4
fence() {
  mkdir -p "\${fence_file%/*}"
  exec 8<>"$fence_file"
  while :; do
    fence_lock -s
    case $fence_held in "$fence_node $fence_token $fence_turn") return 0 ;; esac
    fence_lock -x
    printf '%-60s\\n' "$fence_node $fence_token $fence_turn" 1<>"$fence_file" || return 0
  done
}
fence_lock() {
  flock -w ${LOCK_WAIT_SECONDS} "$1" 8 || { echo "error: another command holds $fence_file" >&2; exit 75; }
  fence_held= held_node= held_token= held_turn=
  read -r held_node held_token held_turn < "$fence_file" || :
  fence_held="$held_node $held_token $held_turn"
  [ "$held_node" = "$fence_node" ] || return 0
  case $held_token$held_turn in '' | *[!0-9]*) return 0 ;; esac
  if [ "$held_token" -gt "$fence_token" ] || { [ "$held_token" -eq "$fence_token" ] && [ "$held_turn" -gt "$fence_turn" ]; }
  then
    trap '' PIPE # the daemon that would hear it is gone, and the script still has to clear up
    echo "error: newer work on the computer has begun ($fence_held, this is $fence_node $fence_token $fence_turn)" >&2 || :
    exit ${FENCED_OFF}
  fi
}
unfence() { exec 8>&-; }
`;
