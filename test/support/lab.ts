/** What `test/lab/lab start` says about the lab that integration tests run in (test/README.md), and other guests for it. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';

export interface Lab {
  /** Scratch folder, which qemu's own user can enter; thrown away with the lab. */
  readonly folder: string;
  /** Private key of root on the VM host, 127.0.0.1:22. */
  readonly sshKeyFile: string;
  /** The VM host's own key, `SHA256:…`. */
  readonly hostKey: string;
  /** The guest image, qcow2. */
  readonly imageFile: string;
  /** Private key of root in the guest. */
  readonly guestKeyFile: string;
  /** `mysql://…` of a server of the lab's own; null when it could not be started. */
  readonly mysqlUrl: string | null;
  /** Its Xen host; null when none was started. */
  readonly xen: { readonly address: string; readonly hostKey: string } | null;
}

/** @throws when the test does not run inside a lab: it says how to */
export function readLab(): Lab {
  return {
    folder: variable('PROVISIOND_LAB'),
    sshKeyFile: variable('PROVISIOND_LAB_SSH_KEY'),
    hostKey: variable('PROVISIOND_LAB_HOST_KEY'),
    imageFile: variable('PROVISIOND_LAB_IMAGE'),
    guestKeyFile: variable('PROVISIOND_LAB_GUEST_KEY'),
    mysqlUrl: process.env.PROVISIOND_LAB_MYSQL ?? null,
    xen: process.env.PROVISIOND_LAB_XEN
      ? { address: process.env.PROVISIOND_LAB_XEN, hostKey: variable('PROVISIOND_LAB_XEN_HOST_KEY') }
      : null,
  };
}

/**
 * The guest image with a fault, or with an agent (test/lab/guest/README.md); made once a lab.
 * @returns its file
 */
export function makeGuest(
  name: string,
  settings: { readonly GUEST_FAULT?: string; readonly GUEST_AGENT?: string },
): string {
  const { folder, guestKeyFile } = readLab();
  const file = path.join(folder, `guest-${name}.qcow2`);
  const env = { ...process.env, ...settings };
  execFileSync(path.join(__dirname, '../lab/guest-image'), [file, `${guestKeyFile}.pub`], { env });
  return file;
}

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) {
    throw new Error(`${name} is not set: this test runs inside a lab (test/lab/lab start, exec; see test/README.md)`);
  }
  return value;
}
