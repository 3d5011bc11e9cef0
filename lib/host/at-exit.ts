/**
 * What a script clears up when it ends, whatever ends it. A POSIX shell runs no EXIT trap when a signal ends it, and SIGPIPE comes with
 * the first word to a daemon that has died, or to a connection that was cut.
 * @param command for a shell, without single quotes
 */
export function atExit(command: string): string {
  if (command.includes("'")) throw new Error(`a trap cannot hold quotes: ${command}`);
  return `trap '${command}' EXIT\ntrap 'exit 143' HUP INT PIPE TERM`;
}
