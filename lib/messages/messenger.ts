/**
 * Tells users and admins what became of a reservation. Called from the steps of a state, so: it never throws, it waits
 * for nothing but the database, and what is done again is told once. Sending is the queue's business (`mailer.ts`).
 */
import { ProvisiondError } from '../errors';
import type { Log } from '../log';
import type { Reservation } from '../model/reservation';
import type { Claim, MessageFacts, Store } from '../store/store';
import {
  ADMIN_MESSAGES,
  type AdminMessage,
  type Substitutions,
  type Template,
  USER_MESSAGES,
  type UserMessage,
  adminVariables,
  fillTemplate,
  readTemplate,
  unknownIdentifiers,
  userVariables,
} from './templates';

export interface MessageOptions {
  /** Beyond those of the reservation: `notice_interval`, `image_capture_type`. */
  readonly substitutions?: Substitutions;
  /** Names the occasion where the same one may come under another claim; else once a claim. */
  readonly occasion?: string;
}

export interface Messages {
  tellUser(name: UserMessage, options?: MessageOptions): Promise<void>;
  tellAdmins(name: AdminMessage, options?: MessageOptions): Promise<void>;
}

export interface MessengerParts {
  readonly store: Store;
  readonly claim: Claim;
  readonly reservation: Reservation;
  readonly log: Log;
  readonly mailIsOn: boolean;
  /** Shows a line to the user in the guest. */
  readonly writeToConsole: (line: string) => Promise<void>;
  /** Something was put into the queue. */
  readonly onQueued: () => void;
}

/** These are shown in the guest as well: whoever works there does not read mail. */
const ON_CONSOLE: readonly UserMessage[] = ['endtime_imminent', 'endtime_imminent_imaging', 'future_endtime'];

/** These are sent to users, too, who have switched notices off: they asked for an image, and this is the answer. */
const ALWAYS_SENT: readonly UserMessage[] = [
  'image_creation_success',
  'image_checkpoint_success',
  'image_creation_delayed',
  'production_imagerevision',
];

export class Messenger implements Messages {
  private facts: Promise<MessageFacts | null> | undefined;
  private readonly told = new Set<string>();

  constructor(private readonly parts: MessengerParts) {}

  async tellUser(name: UserMessage, options: MessageOptions = {}): Promise<void> {
    const onConsole = ON_CONSOLE.includes(name);
    // Of a cluster the user hears once.
    if (!this.parts.reservation.isParent) return;
    if (!this.parts.mailIsOn && !onConsole) return;
    await this.quietly(`message '${name}' to the user`, async () => {
      const facts = await this.readFacts();
      if (facts === null) return;
      const text = await this.compose(userVariables(name, facts.affiliation), USER_MESSAGES[name], facts, options);
      const occasion = this.occasion('user', name, options);
      if (onConsole) this.write(occasion, text.short ?? text.subject);
      if (!facts.userWantsMail && !ALWAYS_SENT.includes(name)) return;
      await this.queue(occasion, facts.userEmail, facts.helpAddress, facts, text);
    });
  }

  async tellAdmins(name: AdminMessage, options: MessageOptions = {}): Promise<void> {
    if (!this.parts.mailIsOn) return;
    await this.quietly(`message '${name}' to the admins`, async () => {
      const facts = await this.readFacts();
      if (facts === null || facts.adminEmail === null) return;
      const text = await this.compose(adminVariables(name), ADMIN_MESSAGES[name], facts, options);
      await this.queue(this.occasion('admin', name, options), facts.adminEmail, null, facts, text);
    });
  }

  private async readFacts(): Promise<MessageFacts | null> {
    this.facts ??= this.parts.store.messageFacts(this.parts.reservation.id);
    this.facts.catch(() => (this.facts = undefined));
    return this.facts;
  }

  private async compose(rows: string[], ours: Template, facts: MessageFacts, options: MessageOptions) {
    const substitutions = { ...facts.substitutions, ...options.substitutions };
    const template = await this.siteTemplate(rows, ours);
    const unknown = unknownIdentifiers(template, substitutions);
    if (unknown.length > 0) this.parts.log.warn(`${rows.join(' or ')}: nothing is known for [${unknown.join('], [')}]`);
    return fillTemplate(template, substitutions);
  }

  private async siteTemplate(rows: string[], ours: Template): Promise<Template> {
    const yaml = await this.parts.store.firstVariable(rows);
    if (yaml === null) return ours;
    try {
      return readTemplate(yaml, `variable ${rows.join(' or ')}`);
    } catch (error) {
      this.parts.log.warn('a template cannot be used; our own text is sent', { error });
      return ours;
    }
  }

  private async queue(occasion: string, to: string, from: string | null, facts: MessageFacts, text: Template) {
    const { store, claim, mailIsOn, onQueued } = this.parts;
    if (!mailIsOn || to.trim() === '') return;
    const { subject, message: body } = text;
    const message = { recipient: to, sender: from, copy: facts.sharedMailbox, subject, body };
    await store.queueMessage(claim.lease, occasion, message);
    onQueued();
  }

  /** Not waited for: the guest may be slow, or gone. Once a claim, as a repeated step would do it again. */
  private write(occasion: string, line: string): void {
    if (this.told.has(occasion)) return;
    this.told.add(occasion);
    void this.quietly('writing to the console of the user', () => this.parts.writeToConsole(line));
  }

  private occasion(audience: string, name: string, { occasion, substitutions }: MessageOptions): string {
    const { requestId, loadId } = this.parts.claim;
    const interval = substitutions?.['notice_interval'] ?? '';
    return `${audience}/${name}/${interval}/${requestId}/${occasion ?? loadId}`;
  }

  private async quietly(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof ProvisiondError && error.code === 'LEASE_LOST') return;
      this.parts.log.warn(`${what} failed; the work goes on`, { error });
    }
  }
}
