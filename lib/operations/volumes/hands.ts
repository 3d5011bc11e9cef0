/** What operations on volumes touch a VM with. */
import { VmDisks } from '../../libvirt/vm-disks';
import type { VmJob } from '../kind';

export const disksOf = ({ vm }: Pick<VmJob, 'vm'>): VmDisks => new VmDisks(vm);
