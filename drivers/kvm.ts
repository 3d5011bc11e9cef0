/** KVM, or plain emulation by QEMU where KVM is absent or broken. */
import type { HypervisorDriver, XmlNode } from '../lib/plugins/api';

const driver: HypervisorDriver = {
  apiVersion: 1,
  name: 'kvm',
  description: 'QEMU guests with KVM, emulated where KVM does not work',
  diskDriverName: 'qemu',
  diskFormats: ['qcow2', 'raw'],
  bootMethods: ['firmware', 'uefi', 'kernel'],

  domainType: async (host) => ((await host.kvmWorks()) ? 'kvm' : 'qemu'),

  probe({ domainTypes }) {
    const usable = domainTypes.includes('kvm') || domainTypes.includes('qemu');
    return { usable, reason: usable ? 'libvirt offers QEMU guests' : 'libvirt offers neither kvm nor qemu guests' };
  },

  async preDefine({ images, disk }) {
    const base = await images.ensureBase(disk.format);
    if (disk.format === 'qcow2') await images.createOverlay(base, disk);
    else await images.copyBase(base, disk);
  },

  extendDomainXml({ domain }, { reservation }) {
    if (domain.$?.type === 'kvm') Object.assign(nodes(domain.cpu)[0]!, { $: { mode: 'host-model' } });
    Object.assign(nodes(domain.devices)[0]!, {
      channel: [{ $: { type: 'unix' }, target: [{ $: { type: 'virtio', name: 'org.qemu.guest_agent.0' } }] }],
      rng: [{ $: { model: 'virtio' }, backend: [{ $: { model: 'random' }, _: '/dev/urandom' }] }],
      // Without it a guest that panicked looks running. Windows has no driver for it.
      ...(reservation.image.os.type !== 'windows' && { panic: [{ $: { model: 'isa' } }] }),
    });
    return { domain };
  },
};

const nodes = (children: XmlNode[string]) => children as XmlNode[];

export default driver;
