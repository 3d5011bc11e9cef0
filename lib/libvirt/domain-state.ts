/**
 * What libvirt says of a domain's power, and the one case in which it is put right: its Xen driver calls a domain shut off that it
 * keeps after a crash (`on_crash` preserve). That one has its memory and its disks still, and an id: it cannot be started, nor may
 * its disks be touched, before it is destroyed. Seen with libvirt 9.0 on Xen 4.17.
 */
import { parseNames } from './virsh';

/** In virsh's words. */
export interface DomainState {
  /** `running`, `shut off`, `paused` … */
  readonly state: string;
  /** Why, for example `booted`; empty when it does not say. */
  readonly reason: string;
  /** While it is active; another one after each start. */
  readonly domainId: string | null;
}

/** Shell: `ask_state` puts the questions about domain `$uuid` among the `$statements` of one virsh; `$mark` is the drawn word. */
export const ASK_STATE = `
ask_state() {
  statements="\${statements:+$statements; }echo '
@@$mark state $uuid
'; domstate $uuid --reason; echo '
@@$mark id $uuid
'; domid $uuid"
}`;

/** What `ask_state` was told; null: the domain went between two statements. */
export function readState(sections: ReadonlyMap<string, string[]>, uuid: string): DomainState | null {
  const [text = ''] = parseNames(sections.get(`state ${uuid}`) ?? []);
  const said = /^([^(]+?)(?: \((.*)\))?$/.exec(text);
  if (!said) return null;
  const [id = ''] = parseNames(sections.get(`id ${uuid}`) ?? []);
  const domainId = /^\d+$/.test(id) ? id : null;
  const [, state, reason = ''] = said;
  const isKept = state === 'shut off' && reason === 'crashed' && domainId !== null;
  return isKept ? { state: 'crashed', reason: 'panicked', domainId } : { state: state!, reason, domainId };
}

/** Shell: `domain_state UUID` prints the state, without its reason; fails with virsh's complaint. */
export const DOMAIN_STATE = `
domain_state() {
  set -- "$1" "$(virsh -q domstate "$1" --reason)"
  [ -n "$2" ] || return 1
  if [ "$2" = 'shut off (crashed)' ] && [ "$(virsh -q domid "$1")" != - ]; then echo crashed; else printf '%s\\n' "\${2% (*}"; fi
}`;
