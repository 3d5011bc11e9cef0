/** `provisiond plugins --test FILE`: what a reviewer would say of an admin's plugin. */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import { atExit } from '../host/at-exit';
import { script } from '../host/host';
import { LocalHost } from '../host/local-host';
import { generateDefaultDomainXml } from '../libvirt/domain-xml';
import { buildXml } from '../xml';
import { guardDriver, guardOsModule } from '../plugins/call-hook';
import { type Finding, examine } from '../plugins/conformance/check';
import { type DriverSubject, driverChecks } from '../plugins/conformance/driver-checks';
import { EXAMPLE_IDENTITY } from '../plugins/conformance/example';
import { type OsModuleSubject, osModuleChecks } from '../plugins/conformance/os-module-checks';
import { strictTrust } from '../plugins/file-trust';
import { type LoadedPlugin, PluginLoader } from '../plugins/loader';
import type { PluginKind } from '../plugins/plugin-shape';
import type { App } from './app';
import { EXIT, type ExitCode } from './exit-codes';
import { silentLog } from './plugins';

/** A file that is no plugin of either kind is judged as a driver, unless it lies where OS modules do. */
export async function testPlugin(app: App, file: string, kind: PluginKind | undefined): Promise<ExitCode> {
  const { print } = app;
  const { findings, name } = await reviewPlugin(path.resolve(file), kind, app.config.hookTimeoutMs);
  const failed = findings.filter(({ verdict }) => verdict === 'failed').length;
  print.result({ file, name, findings }, () => {
    for (const { sentence, verdict, remark } of findings) {
      print.line(`${{ passed: 'ok  ', failed: 'FAIL', 'not tried': '?   ' }[verdict]} ${sentence}`);
      if (remark !== null) print.line(`       ${remark}`);
    }
    return failed === 0 ? `${name} is fit for use` : `${failed} of ${findings.length} objections must be met`;
  });
  return failed === 0 ? EXIT.ok : EXIT.failed;
}

/** @throws NOT_FOUND when there is no such file */
export async function reviewPlugin(
  file: string,
  wanted: PluginKind | undefined,
  hookTimeoutMs: number,
): Promise<{ name: string | null; findings: Finding[] }> {
  const kind = wanted ?? (path.basename(path.dirname(file)) === 'os-modules' ? 'os-module' : 'driver');
  const loader = new PluginLoader(kind, [], silentLog());
  const loaded = load(() => loader.examine(file, null), file);
  const findings: Finding[] = [
    finding('is loaded, and has the shape of its kind', loaded.verdict.reason),
    finding('belongs to root or the daemon, and nobody else can write it', trustProblem(file)),
  ];
  if (loaded.loaded === null) return { name: loaded.verdict.name, findings };
  return { name: loaded.verdict.name, findings: [...findings, ...(await examineLoaded(loaded.loaded, hookTimeoutMs))] };
}

function finding(sentence: string, reason: string | null): Finding {
  return { sentence, verdict: reason === null ? 'passed' : 'failed', remark: reason };
}

function load<T>(
  work: () => T & { verdict: { reason: string | null } },
  file: string,
): T & { verdict: { reason: string | null } } {
  try {
    return work();
  } catch (cause) {
    const hint = 'Give the path of a .js file; provisiond plugins --new NAME writes one to begin with';
    throw new ProvisiondError('NOT_FOUND', `there is no file ${file} that can be read`, { cause, hint });
  }
}

/** Only what concerns owners: the shape was judged before. */
function trustProblem(file: string): string | null {
  const { reason } = new PluginLoader('driver', [], silentLog()).examine(file, strictTrust()).verdict;
  return reason !== null && /belongs to user id|can be written by/.test(reason) ? reason : null;
}

async function examineLoaded(loaded: LoadedPlugin<PluginKind>, hookTimeoutMs: number): Promise<Finding[]> {
  const limits = { hookTimeoutMs: Math.min(hookTimeoutMs, 20_000) };
  const host = new LocalHost({ name: 'here' });
  try {
    if (loaded.kind === 'driver') {
      const driver = guardDriver(loaded as LoadedPlugin<'driver'>, limits);
      return await examine(driverChecks, driverSubject(driver, host));
    }
    const module = guardOsModule(loaded as LoadedPlugin<'os-module'>, limits);
    return await examine(osModuleChecks, osModuleSubject(module, host));
  } finally {
    await host.close();
  }
}

const VALIDATE = `
command -v virt-xml-validate >/dev/null || exit 127
file=$(mktemp) || exit 126
${atExit('rm -f "$file"')}
cat > "$file"
virt-xml-validate "$file" domain
`;

/** What {@link driverChecks} need beyond the driver: the core's own tree, and libvirt's schema. */
export function driverSubject(driver: DriverSubject['driver'], host: LocalHost): DriverSubject {
  return {
    driver,
    defaultXml: ({ diskDriverName }, { domainType, format, boot }) =>
      generateDefaultDomainXml({
        domainType,
        name: 'vm1_Example_12-v2',
        uuid: '3c3a2c58-0000-8000-8000-0123456789ab',
        identity: EXAMPLE_IDENTITY,
        description: { imagePrettyName: 'Example', loadTime: '2026-01-05T10:00:00.000Z', managementNode: 'node' },
        memoryMiB: 512,
        vcpus: 1,
        clockOffset: 'utc',
        boot,
        disk: {
          path: `/srv/vms/vm1_12-v2.${format}`,
          format,
          driverName: diskDriverName,
          bus: 'virtio',
          cache: undefined,
        },
        interfaces: ['private', 'public'].map((source, index) => ({
          ...{ type: 'network' as const, source, mac: `52:54:00:00:00:0${index + 1}`, model: 'virtio' },
        })),
        consoleLog: '/srv/vms/vm1_12-v2.console.log',
      }),
    judgeXml: (xml) => judge(host, VALIDATE, buildXml(xml)),
  };
}

export function osModuleSubject(module: OsModuleSubject['module'], host: LocalHost): OsModuleSubject {
  return { module, judgeScript: (text) => judge(host, 'exec sh -n', text) };
}

/** @returns what the tool says against the text; undefined when it is not there */
async function judge(host: LocalHost, tool: string, text: string): Promise<string | null | undefined> {
  const { exitCode, stderr } = await host.run(script(tool), { stdin: text, expect: 'any' });
  if (exitCode === 127) return undefined;
  return exitCode === 0 ? null : stderr.trim() || `exit code ${exitCode}`;
}
