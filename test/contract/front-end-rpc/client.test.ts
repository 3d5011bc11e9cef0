import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FrontEndClient } from '../../../lib/front-end-rpc/front-end-client';
import { WebFrontEnd, fault, struct } from '../../support/web-front-end';

const caused = (by: RegExp) => ({ cause: { message: expect.stringMatching(by) } });

describe('a call to the front end', () => {
  let web: WebFrontEnd;
  beforeEach(async () => {
    web = await WebFrontEnd.start();
  });
  afterEach(() => web.stop());

  const call = (more = {}) => new FrontEndClient(web.settings(more)).call('XMLRPCautoCapture', ['11']);

  it('carries account, password and version 2 of the API in its headers', async () => {
    expect(await call()).toEqual({ status: 'success' });
    const [seen] = web.calls;
    expect(seen!.headers).toMatchObject({ 'x-user': 'vclsystem@Local', 'x-pass': 'geheim', 'x-apiversion': '2' });
    expect(seen!.body.replace(/\s+/g, '')).toContain('<methodName>XMLRPCautoCapture</methodName>');
  });

  it('is not made to a server whose certificate nobody vouches for: the password stays here', async () => {
    await expect(call({ caFile: null })).rejects.toMatchObject(caused(/self.signed certificate/));
    expect(web.calls).toEqual([]);
  });

  it('is not made to a server with a certificate of another name', async () => {
    const url = `https://127.0.0.1:${web.port}/`;
    await expect(call({ url })).rejects.toMatchObject(caused(/does not match certificate/));
    expect(web.calls).toEqual([]);
  });

  it('ends when its time is over, and may be tried again', async () => {
    web.answer = () => {};
    const error = { code: 'FRONT_END_UNREACHABLE', retryable: true };
    await expect(call({ timeoutMs: 200 })).rejects.toMatchObject(error);
  });

  it.each([500, 502, 503, 404])('may be tried again after HTTP status %d', async (status) => {
    web.answer = (_call, response) => response.writeHead(status).end('ill');
    await expect(call()).rejects.toMatchObject({ code: 'FRONT_END_UNREACHABLE' });
  });

  it('may be tried again when a page came in place of an answer', async () => {
    web.answer = (_call, response) => response.end('<html><body>upgrading');
    await expect(call()).rejects.toMatchObject({ code: 'FRONT_END_UNREACHABLE' });
  });

  it('is refused for good by an error of the front end, in its words', async () => {
    web.answer = (_call, response) =>
      response.end(struct({ status: 'error', errorcode: 51, errormsg: 'reservation not in valid state' }));
    await expect(call()).rejects.toMatchObject({
      code: 'FRONT_END_REFUSED',
      message: 'XMLRPCautoCapture: reservation not in valid state (51)',
    });
  });

  it('is refused for good by a fault', async () => {
    web.answer = (_call, response) => response.end(fault(3, 'Access denied'));
    await expect(call()).rejects.toMatchObject({ code: 'FRONT_END_REFUSED' });
  });

  it('does not follow a redirect with the password, and says what to do', async () => {
    web.answer = (_call, response) => response.writeHead(302, { Location: 'http://elsewhere.test/' }).end();
    await expect(call()).rejects.toMatchObject({
      code: 'FRONT_END_REFUSED',
      hint: expect.stringContaining('xmlrpc.url'),
    });
  });

  it('does not read an answer without end', async () => {
    web.answer = (_call, response) => response.end(Buffer.alloc(3 << 20, 'x'));
    await expect(call()).rejects.toMatchObject(caused(/longer than/));
  });

  it('says which key is missing when no front end is configured', async () => {
    await expect(call({ url: null })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
