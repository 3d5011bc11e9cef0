/** Why a file is not used, as the end of a sentence that begins with its name. */
export class HeaderRefusal extends Error {}
