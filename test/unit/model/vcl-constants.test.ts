/** Numbers that VCL's front end and vcld have in their code: a site cannot change them, and neither can we (contract 2.1, 2.4). */
import { expect, it } from '@jest/globals';
import { STATE_IDS } from '../../../lib/model/states';
import { DEFAULT_TIMINGS } from '../../../lib/model/timings';

it('the states have the ids that the front end writes', () => {
  const names =
    'deleted available reserved classreserved failed reloading imageinuse inuse cleaning maintenance timeout complete new ' +
    'pending imageprep image makeproduction tomaintenance reload vmhostinuse tovmhostinuse tohpc hpc checkpoint ' +
    'serverinuse rebootsoft reinstall reboothard servermodified';
  expect(STATE_IDS).toEqual(Object.fromEntries(names.split(' ').map((name, index) => [name, index + 1])));
});

it('the timing variables have the defaults of vcld', () => {
  expect(DEFAULT_TIMINGS).toEqual({
    acknowledgetimeout: 900,
    initialconnecttimeout: 900,
    reconnecttimeout: 900,
    general_end_notice_first: 600,
    general_end_notice_second: 300,
    ignore_connections_gte: 1440,
    general_inuse_check: 300,
    server_inuse_check: 900,
    cluster_inuse_check: 900,
  });
});
