/** `provisiond init`: the tables, and the row of this management node. */
import type { Command } from 'commander';
import type { App } from './app';
import { ensureNode } from './host-add';
import { type Execute, addVerb } from './verb';

export function addInitVerb(program: Command, execute: Execute): void {
  addVerb(program, 'init', {
    about: 'create the tables or upgrade them, and enter this management node; safe to repeat',
    examples: ['init', 'init --config /etc/provisiond/provisiond.yaml'],
  }).action((_options, command: Command) => execute(command, initialise));
}

async function initialise(app: App): Promise<void> {
  const { config, print } = app;
  const { store, frontEnd } = app.openOrCreate();
  const done = await store.migrate();
  const id = await ensureNode(frontEnd, config);
  print.result({ database: store.label, done, managementNode: { id, hostname: config.managementNode } }, () =>
    [
      ...done.map((sentence) => `  ${sentence}`),
      `${print.paint('green', 'ready:')} ${store.label}, management node ${config.managementNode} (id ${id})`,
    ].join('\n'),
  );
}
