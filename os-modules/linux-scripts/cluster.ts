import { BASICS, FIREWALL } from './pieces';

/**
 * Tells the guest the machines of its cluster, and lets them in where a firewall is active.
 * Input: lines `parent= ADDRESS` and `child= ADDRESS`, as VCL's /etc/cluster_info has them.
 */
export const UPDATE_CLUSTER = String.raw`${BASICS}${FIREWALL}
cat > /etc/cluster_info.part && mv /etc/cluster_info.part /etc/cluster_info || fail "/etc/cluster_info cannot be written"
let_in $(sed 's/^[a-z]*= *//' /etc/cluster_info)
`;
