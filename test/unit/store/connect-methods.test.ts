import { describe, expect, it } from '@jest/globals';
import { chooseConnectMethods, type ConnectMethodRow } from '../../../lib/store/connect-methods';

const IMAGE = { osType: 'linux', osId: 36, revisionId: 34 };

/** As VCL's seed has it, in the order of the query: by method, the kind of OS first, the revision last. */
const SSH: ConnectMethodRow = {
  id: 1,
  name: 'ssh',
  servicename: 'ext_sshd',
  startupscript: null,
  portId: 1,
  port: 22,
  protocol: 'TCP',
  imagerevisionid: null,
  OSid: null,
  osTypeName: 'linux',
  disabled: 0,
};
const X2GO: ConnectMethodRow = { ...SSH, id: 4, name: 'x2go', portId: 9, port: 2022, osTypeName: null, OSid: 36 };

const names = (...rows: ConnectMethodRow[]) => chooseConnectMethods(rows, IMAGE).map(({ name }) => name);

describe('the connect methods of a reservation', () => {
  it('are those of its kind of OS, its OS and its image revision', () => {
    expect(names(SSH, X2GO)).toEqual(['ssh', 'x2go']);
    expect(names({ ...SSH, osTypeName: 'windows' }, { ...X2GO, OSid: 7 })).toEqual([]);
    expect(names({ ...X2GO, OSid: null, imagerevisionid: 34 })).toEqual(['x2go']);
    expect(names({ ...X2GO, OSid: null, imagerevisionid: 35 })).toEqual([]);
  });

  it('are switched off by a rule for the revision, whatever OS and kind of OS say', () => {
    const off = { ...SSH, osTypeName: null, imagerevisionid: 34, disabled: 1 };
    expect(names(SSH, { ...SSH, osTypeName: null, OSid: 36 }, off)).toEqual([]);
  });

  it('are switched on again by a rule for the revision, where the OS has them off', () => {
    const off = { ...SSH, osTypeName: null, OSid: 36, disabled: 1 };
    expect(names(SSH, off, { ...SSH, osTypeName: null, imagerevisionid: 34 })).toEqual(['ssh']);
  });

  it('are off where rules of one level are of two minds', () => {
    expect(names(SSH, { ...SSH, disabled: 1 })).toEqual([]);
  });

  it('have all their ports, each once, with service and start-up script', () => {
    const udp = { ...SSH, portId: 2, port: 60000, protocol: 'UDP' as const, startupscript: '/opt/start it' };
    const again = { ...SSH, osTypeName: null, OSid: 36 };
    expect(chooseConnectMethods([SSH, udp, again], IMAGE)).toEqual([
      {
        id: 1,
        name: 'ssh',
        serviceName: 'ext_sshd',
        startupScript: null,
        ports: [
          { id: 1, port: 22, protocol: 'TCP' },
          { id: 2, port: 60000, protocol: 'UDP' },
        ],
      },
    ]);
  });
});
