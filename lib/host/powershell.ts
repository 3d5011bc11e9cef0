/**
 * Stage scripts of Windows guests. Whatever shell their ssh server starts (cmd.exe, PowerShell, a bash), the command line holds no
 * character that any of them reads as anything but itself, and programs, arguments and input come as base64 by standard input.
 */

/** Reads three words: program, arguments as JSON, input; each after an `x`, so that none is empty. */
const READ_AND_RUN = `
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false
$words = @([Console]::In.ReadToEnd() -split '\\s+' | Where-Object { $_ })
$texts = @($words | ForEach-Object { [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($_.Substring(1))) })
$list = ConvertFrom-Json $texts[1]
$list = @($list | Where-Object { $null -ne $_ })
try { & ([ScriptBlock]::Create($texts[0])) $list $texts[2] }
catch { "@@error $($_.Exception.Message -replace '\\s+', ' ')"; exit 1 }
`;

/** `-EncodedCommand` takes UTF-16. Blanks at its end keep `=` out of it, which cmd.exe splits words at. */
function encodedCommand(): string {
  let text = READ_AND_RUN;
  while (Buffer.byteLength(text, 'utf16le') % 3 !== 0) text += ' ';
  return Buffer.from(text, 'utf16le').toString('base64');
}

const ARGV = ['powershell.exe', '-NoProfile', '-NonInteractive', '-EncodedCommand', encodedCommand()];

/**
 * @param text constant program of PowerShell 5.1, which begins with `param($a, $in)`
 * @param args `$a`
 * @param input `$in`
 */
export function powershell(text: string, args: readonly (string | number)[], input: string) {
  const words = [text, JSON.stringify(args.map(String)), input];
  const stdin = words.map((word) => `x${Buffer.from(word).toString('base64')}\n`).join('');
  return { argv: ARGV, stdin };
}
