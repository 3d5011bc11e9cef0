/** What predictive modules may ask about the computer of a reservation that is over. */

export interface ImageChoice {
  readonly id: number;
  readonly revisionId: number;
}

/** Each answer is as of the question; none changes anything, so a module may be asked again. Null: there is none. */
export interface Forecast {
  /** The production revision of the image that a block allocation promised this computer, the earliest block first. */
  blockImage(): Promise<ImageChoice | null>;
  /** The production revision of `computer.nextimageid`, which an admin or a preload wrote. */
  nextImage(): Promise<ImageChoice | null>;
  /** The image of the first request that waits for this computer and starts within so many minutes. */
  upcomingImage(withinMinutes: number): Promise<ImageChoice | null>;
  /** How much of the site is in use: the share, 0 to 1, of the computers of this type that are not free. */
  busyShare(): Promise<number>;
  /**
   * The image that was reserved most often in so many days, of those that may go on this computer (resource groups,
   * installation type) and that at most one free computer holds already.
   */
  popularImage(days: number): Promise<ImageChoice | null>;
}
