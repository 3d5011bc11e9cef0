/**
 * Does KVM run a guest? The device file proves nothing: where virtualisation is nested and broken it opens, and guests
 * hang for ever. So the smallest guest is booted: a boot sector that writes three letters to its serial port and resets.
 */
import { atExit } from '../host/at-exit';
import { type Host, script } from '../host/host';

const DEADLINE_SECONDS = 2;

/** 16-bit x86: `mov dx,0x3f8`, out 'K' 'V' 'M', `mov al,0xfe`, `out 0x64,al` (reset), `hlt`. */
const BOOT_SECTOR = String.raw`\272\370\003\260\113\356\260\126\356\260\115\356\260\376\346\144\364\353\375`;
const BOOT_SECTOR_BYTES = 19;

const PROBE = `
set -u
emulator=$1 accelerator=$2
[ "$accelerator" != kvm ] || [ -c /dev/kvm ] || { echo absent; exit 0; }
folder=$(mktemp -d) || exit 1
${atExit('rm -rf "$folder"')}
{ printf '${BOOT_SECTOR}'; head -c ${510 - BOOT_SECTOR_BYTES} /dev/zero; printf '\\125\\252'; } > "$folder/boot"
timeout -s KILL ${DEADLINE_SECONDS} "$emulator" -accel "$accelerator" -nodefaults -no-user-config -display none \\
  -no-reboot -m 16 -serial stdio -drive "file=$folder/boot,format=raw,if=ide,snapshot=on" </dev/null 2>&1
true
`;

/**
 * @param emulator QEMU of the host's architecture; null: the host has none
 * @param accelerator `tcg` boots the same guest without KVM, which holds the probe itself to the truth
 */
export async function bootsGuest(host: Host, emulator: string | null, accelerator = 'kvm'): Promise<boolean> {
  if (emulator === null) return false;
  const timeoutMs = (DEADLINE_SECONDS + 8) * 1000;
  const result = await host.run(script(PROBE, emulator, accelerator), { timeoutMs, expect: 'any' });
  return result.stdout.includes('KVM');
}

/** Whether a command asks if KVM works. It leaves nothing behind. */
export function isKvmProbe(argv: readonly string[]): boolean {
  return argv[2] === PROBE || argv.join(' ') === KVM_DEVICE.join(' ');
}

const KVM_DEVICE = ['test', '-c', '/dev/kvm'];

/** Without a boot sector for the architecture the device file must do. */
export async function hasKvmDevice(host: Host): Promise<boolean> {
  const result = await host.run(KVM_DEVICE, { expect: [0, 1] });
  return result.exitCode === 0;
}
