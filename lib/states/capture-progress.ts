/** Every tenth of the way, and every few seconds of a slow one. */
const STEP_PERCENT = 10;
const AT_LEAST_EVERY_MS = 5000;

/** Makes of qemu-img's many percents the few lines that the story of a reservation can bear. */
export class Progress {
  private told = 0;
  private toldAt: number;

  constructor(
    private readonly tell: (text: string) => void,
    private readonly what: string,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.toldAt = now();
  }

  at(percent: number): void {
    const isStep = percent >= this.told + STEP_PERCENT || (percent === 100 && this.told < 100);
    const isDue = percent > this.told && this.now() - this.toldAt >= AT_LEAST_EVERY_MS;
    if (!isStep && !isDue) return;
    this.told = percent;
    this.toldAt = this.now();
    this.tell(`${this.what}: ${percent} %`);
  }
}
