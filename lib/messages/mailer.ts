/** Sends what the queue of messages holds: the only user of nodemailer. */
import fs from 'node:fs';
import { type SendMailOptions, type Transporter, createTransport } from 'nodemailer';
import type { Config } from '../config/config';
import { ProvisiondError } from '../errors';
import type { QueuedMessage } from '../store/store';

const CONNECT_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 60_000;

/** One address, and nothing that a list, a name or an option could be made of. */
const ADDRESS = /^[^\s@,;:<>()"'\\-][^\s@,;:<>()"\\]*@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/;

export class Mailer {
  private transport: Transporter | undefined;

  /** The sender where nobody named one. */
  private readonly from: string;

  constructor(
    private readonly settings: Config['mail'],
    managementNode: string,
  ) {
    this.from = settings.from ?? `vcl@${managementNode}`;
  }

  get isOn(): boolean {
    return this.settings.transport !== 'off';
  }

  /**
   * @throws MAIL_NOT_SENT; not retryable when it is the message or the recipient that is refused
   */
  async send(message: QueuedMessage): Promise<void> {
    const recipient = checkAddress(message.recipient);
    const { from, settings } = this;
    // What an admin entered as help address may be no address: then it is ours.
    const sender = message.sender !== null && ADDRESS.test(message.sender.trim()) ? message.sender.trim() : from;
    const copies = message.copy !== null && ADDRESS.test(message.copy.trim()) ? [message.copy.trim()] : [];
    const isHtml = /<html[\s>]/i.test(message.body);
    try {
      this.transport ??= this.openTransport();
      await this.transport.sendMail({
        from: sender,
        to: recipient,
        subject: message.subject,
        ...(isHtml ? { html: message.body } : { text: message.body }),
        // The same one sent twice after a crash can be told by it.
        messageId: `<provisiond-${message.id}@${domainOf(from)}>`,
        envelope: { from: settings.returnPath ?? sender, to: [recipient, ...copies] },
        headers: { 'Auto-Submitted': 'auto-generated' },
        disableFileAccess: true,
        disableUrlAccess: true,
      } satisfies SendMailOptions);
    } catch (cause) {
      throw asMailError(message, cause);
    }
  }

  close(): void {
    this.transport?.close();
    this.transport = undefined;
  }

  private openTransport(): Transporter {
    const { transport, sendmailPath, smtpHost, smtpPort, smtpSecurity, smtpUser, smtpPassword, caFile } = this.settings;
    if (transport === 'sendmail') return createTransport({ sendmail: true, path: sendmailPath, newline: 'unix' });
    const ca = caFile === null ? undefined : fs.readFileSync(caFile);
    return createTransport({
      host: smtpHost,
      port: smtpPort,
      secure: smtpSecurity === 'tls',
      requireTLS: smtpSecurity === 'starttls',
      ignoreTLS: smtpSecurity === 'none',
      // A password in clear is nobody's wish.
      ...(smtpUser !== null && smtpSecurity !== 'none' && { auth: { user: smtpUser, pass: smtpPassword ?? '' } }),
      tls: { ca },
      connectionTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: ANSWER_TIMEOUT_MS,
    });
  }
}

function checkAddress(address: string): string {
  const trimmed = address.trim();
  if (ADDRESS.test(trimmed)) return trimmed;
  throw new ProvisiondError('MAIL_NOT_SENT', `'${address}' is no address of one recipient`, {
    blame: 'request',
    retryable: false,
  });
}

const domainOf = (address: string): string => /@([A-Za-z0-9.-]+)/.exec(address)?.[1] ?? 'localhost';

/** A server that says no for good (5xx) to the message or its recipient will say so again; all else may pass. */
function asMailError(message: QueuedMessage, cause: unknown): ProvisiondError {
  const { responseCode, code } = cause as { responseCode?: number; code?: string };
  const refused = ['EENVELOPE', 'EMESSAGE'].includes(code ?? '') && (responseCode ?? 0) >= 500;
  return new ProvisiondError('MAIL_NOT_SENT', `sending '${message.subject}' to ${message.recipient}`, {
    cause,
    retryable: !refused,
  });
}
