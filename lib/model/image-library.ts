/** Other management nodes that this one may fetch images from: VCL's image library. */

export interface ImagePartner {
  readonly managementNodeId: number;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** The account on the partner and the key file here: `managementnode.imagelibuser`, `imagelibkey` of this node. */
  readonly user: string;
  readonly keyFile: string;
  /** `managementnode.installpath` of the partner. */
  readonly installPath: string;
}

/**
 * `get_image_repository_search_paths`: where on a management node files of an image may be; `*` is the shell's.
 * As VCL's libvirt module: below the install path, the folder of VMware images in it, and the repository.
 */
export function imageSearchPaths(imageName: string, installPath: string, repositoryPath: string | null): string[] {
  const install = installPath.replace(/\/+$/, '');
  const folders = [install, `${install}/vmware_images`, ...(repositoryPath === null ? [] : [repositoryPath])];
  return [...new Set(folders.map((folder) => `${folder.replace(/\/+$/, '')}/${imageName}*`))];
}
