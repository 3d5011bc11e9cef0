/** How much longer than usual tests wait on a machine that has much else to do; 1 without `PROVISIOND_PATIENCE`. */
export const PATIENCE = Number(process.env.PROVISIOND_PATIENCE ?? 1);
