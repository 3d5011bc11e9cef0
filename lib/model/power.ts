/** What VCL's `power_status` answers. */
export type PowerStatus = 'on' | 'off' | 'suspended' | 'blocked' | 'crashed';

/** What `node_status` answers (seed, libvirt.pm): ready to be reserved, lacks post-load, or must be loaded. */
export type NodeStatus = 'READY' | 'POST_LOAD' | 'RELOAD';
