/** The story of a reservation: `computerloadlog` for the front end, `provisiond_event` for us. */
import { ProvisiondError } from '../errors';
import type { Bindings, Database, Value } from './database';
import type { Store, StoryLine } from './store';

/** Characters that fit a MySQL `text` of 65535 bytes, whatever they are. */
const MAX_TEXT = 16_000;

export function storyVerbs(db: Database): Pick<Store, 'tell' | 'untell'> {
  const loadStates = loadStateIds(db);
  return {
    tell: async (lines) => {
      await tellFrontEnd(db, lines, loadStates);
      await tellEvents(db, lines);
    },
    untell: async (reservationId, names) => {
      if (names.length === 0) return;
      const places = names.map(() => '?').join(', ');
      await db.change(
        `delete from computerloadlog where reservationid = ?
           and loadstateid in (select id from computerloadstate where loadstatename in (${places}))`,
        [reservationId, ...names],
      );
    },
  };
}

export const fit = (text: string, length = MAX_TEXT): string => (text.length > length ? text.slice(0, length) : text);

/** The names never change while a site runs, so they are read once; a failed reading is not kept. */
function loadStateIds(db: Database): () => Promise<ReadonlyMap<string, number>> {
  let known: Promise<ReadonlyMap<string, number>> | undefined;
  return () => {
    known ??= db
      .rows<{ id: number; loadstatename: string }>('select id, loadstatename from computerloadstate')
      .then((rows) => new Map(rows.map(({ id, loadstatename }) => [loadstatename, id])));
    known.catch(() => (known = undefined));
    return known;
  };
}

/** By select, so that a line of a reservation that the front end deleted meanwhile is no error for the others. */
async function tellFrontEnd(
  db: Database,
  lines: readonly StoryLine[],
  loadStates: () => Promise<ReadonlyMap<string, number>>,
): Promise<void> {
  const told = lines.filter((line) => line.loadState !== null);
  if (told.length === 0) return;
  const ids = await loadStates();
  const line = `select id as reservationid, ? as computerid, ? as loadstateid, ? as additionalinfo, ? as position
    from reservation where id = ?`;
  const bindings: Bindings = told.flatMap(({ reservationId, computerId, loadState, text }, position): Value[] => {
    const id = ids.get(loadState!);
    if (id === undefined) throw new ProvisiondError('INTERNAL', `'${loadState}' is no name of computerloadstate`);
    return [computerId, id, fit(text), position, reservationId];
  });
  await db.change(
    `insert into computerloadlog (reservationid, computerid, loadstateid, timestamp, additionalinfo)
     select reservationid, computerid, loadstateid, ${db.dialect.now}, additionalinfo
     from (${told.map(() => line).join(' union all ')}) told order by position`,
    bindings,
  );
}

async function tellEvents(db: Database, lines: readonly StoryLine[]): Promise<void> {
  const rows = lines.flatMap((line) => (line.event ? [eventRow(line, line.event)] : []));
  if (rows.length === 0) return;
  const places = rows.map(() => `(${db.dialect.now}, ${Array(13).fill('?').join(', ')})`);
  await db.change(
    `insert into provisiond_event (time, requestid, reservationid, computerid, loadid, state, step, kind, milliseconds,
       loadstate, text, errorcode, blame, hint) values ${places.join(', ')}`,
    rows.flat(),
  );
}

function eventRow(line: StoryLine, event: NonNullable<StoryLine['event']>): Value[] {
  return [
    event.requestId,
    line.reservationId,
    line.computerId,
    event.loadId,
    event.state,
    fit(event.step, 120),
    event.kind,
    event.milliseconds === undefined ? null : Math.round(event.milliseconds),
    line.loadState,
    fit(line.text),
    event.errorCode ?? null,
    event.blame ?? null,
    event.hint === undefined ? null : fit(event.hint),
  ];
}
