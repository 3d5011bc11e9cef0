/**
 * Output of one script in named parts. The marks carry a word that was drawn for this one run, so that nothing that the
 * script prints, a domain's description for example, can pass for a mark.
 */
import { randomUUID } from 'node:crypto';

export function drawMark(): string {
  return randomUUID();
}

/** Lines by section; a section `name argument` may come many times with different arguments. */
export function splitSections(stdout: string, mark: string): Map<string, string[]> {
  const sections = new Map<string, string[]>();
  let lines: string[] = [];
  for (const line of stdout.split('\n')) {
    if (line.startsWith(`@@${mark} `)) {
      lines = [];
      sections.set(line.slice(mark.length + 3), lines);
    } else lines.push(line);
  }
  return sections;
}

/** Shell: `section NAME` begins a part; `$mark` is the drawn word. */
export const SECTION = `section() { printf '\\n@@%s %s\\n' "$mark" "$1"; }`;
