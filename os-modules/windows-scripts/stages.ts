/** The stages of a Windows guest, in PowerShell 5.1. Each is safe to repeat; `$a` are its arguments, `$in` its input. */

const PIECES = String.raw`param($a, $in)
$folder = Join-Path $env:ProgramData 'provisiond'
$tags = Join-Path $folder 'currentimage.txt'
$ours = 'vcl'
function Get-Ours { if (Get-LocalGroup -Name $ours -ErrorAction SilentlyContinue) { Get-LocalGroupMember -Group $ours } }
function Remove-Ours($keep) {
  foreach ($member in @(Get-Ours)) {
    $name = $member.Name.Split('\')[-1]
    if ($keep -contains $name) { continue }
    logoff.exe $name 2>$null
    Remove-LocalUser -Name $name
    Get-CimInstance Win32_UserProfile | Where-Object { $_.SID -eq $member.SID.Value } | Remove-CimInstance
  }
}
function Set-AdministratorPassword($text) {
  $name = (Get-LocalUser | Where-Object { $_.SID.Value -like '*-500' }).Name
  Set-LocalUser -Name $name -Password (ConvertTo-SecureString $text -AsPlainText -Force)
}
function Write-Tags($lines) {
  New-Item -ItemType Directory -Force -Path $folder | Out-Null
  Set-Content -Path $tags -Value $lines -Encoding ASCII
}
function Add-Taint($why) {
  if (-not (Select-String -Quiet -SimpleMatch 'vcld_tainted=' -Path $tags)) { Add-Content -Path $tags -Value "vcld_tainted=$why" }
}
`;

/** → `@@imagerevision_id`, `@@vcld_post_load`, `@@vcld_tainted`, where there are; `@@boot_id` */
export const STATUS = String.raw`${PIECES}
"@@boot_id $((Get-CimInstance Win32_OperatingSystem).LastBootUpTime.ToUniversalTime().ToString('o'))"
if (Test-Path $tags) {
  foreach ($line in Get-Content $tags) {
    if ($line -match '^(imagerevision_id|vcld_post_load|vcld_tainted)=(.*)$') { "@@$($Matches[1]) $($Matches[2])" }
  }
}
`;

/** `$a`: host name, `yes` to set it, seconds since 1970. Input: the administrator's password, then the lines of `currentimage.txt`. */
export const POST_LOAD = String.raw`${PIECES}
$lines = @($in.TrimEnd() -split "\n")
$now = ([datetime]'1970-01-01').AddSeconds([long]$a[2]).ToLocalTime()
if ([math]::Abs(($now - (Get-Date)).TotalSeconds) -gt 60) { Set-Date $now | Out-Null }
Set-AdministratorPassword $lines[0]
if ($a[1] -eq 'yes' -and $env:COMPUTERNAME -ne $a[0]) {
  Rename-Computer -NewName $a[0] -Force
  '@@warning the new name of the computer counts from its next start'
}
Write-Tags (@($lines | Select-Object -Skip 1) + 'vcld_post_load=success')
`;

/** Input: JSON, a list of accounts with `login`, `password`, `root`, `keep`. Groups go by SID: their names are translated. */
export const RESERVE = String.raw`${PIECES}
$accounts = ConvertFrom-Json $in
$accounts = @($accounts | Where-Object { $null -ne $_ })
if (-not (Get-LocalGroup -Name $ours -ErrorAction SilentlyContinue)) { New-LocalGroup -Name $ours | Out-Null }
Remove-Ours @($accounts | ForEach-Object { $_.login })
foreach ($account in $accounts) {
  $there = Get-LocalUser -Name $account.login -ErrorAction SilentlyContinue
  if (-not $there) { New-LocalUser -Name $account.login -NoPassword | Out-Null }
  if ($account.password -and -not ($there -and $account.keep)) {
    Set-LocalUser -Name $account.login -PasswordNeverExpires $true -Password (ConvertTo-SecureString $account.password -AsPlainText -Force)
  }
  Enable-LocalUser -Name $account.login
  $groups = @('S-1-5-32-555')
  if ($account.root) { $groups += 'S-1-5-32-544' }
  foreach ($sid in $groups) { Add-LocalGroupMember -SID $sid -Member $account.login -ErrorAction SilentlyContinue }
  Add-LocalGroupMember -Group $ours -Member $account.login -ErrorAction SilentlyContinue
}
`;

/** `$a`: the user's address or `Any`, then ports as `3389/tcp`. */
export const GRANT_ACCESS = String.raw`${PIECES}
Set-ItemProperty 'HKLM:\System\CurrentControlSet\Control\Terminal Server' -Name fDenyTSConnections -Value 0
foreach ($port in $a | Select-Object -Skip 1) {
  $number, $protocol = $port.Split('/')
  Remove-NetFirewallRule -Name "provisiond-$number-$protocol" -ErrorAction SilentlyContinue
  New-NetFirewallRule -Name "provisiond-$number-$protocol" -DisplayName "provisiond $port" -Direction Inbound -Action Allow -Protocol $protocol -LocalPort $number -RemoteAddress $a[0] | Out-Null
}
`;

/** `$a`: the user's address or empty, addresses to ignore with blanks between, then ports. → `@@remote_address` */
export const IS_USER_CONNECTED = String.raw`${PIECES}
$ports = @($a | Select-Object -Skip 2)
$ignored = @($a[1].Split(' '))
$found = @(Get-NetTCPConnection -State Established -ErrorAction SilentlyContinue |
  Where-Object { $ports -contains "$($_.LocalPort)" -and $ignored -notcontains $_.RemoteAddress })
$his = @($found | Where-Object { $_.RemoteAddress -eq $a[0] })
if ($his.Count -eq 0 -and @(quser.exe 2>$null).Count -gt 1) { $his = $found }
if ($his.Count -gt 0) { "@@remote_address $($his[0].RemoteAddress)" }
`;

/** `$a`: the user's address or `Any`. */
export const POST_INITIAL_CONNECTION = String.raw`${PIECES}
Add-Taint 'a user was on it'
Get-NetFirewallRule -Name 'provisiond-*' -ErrorAction SilentlyContinue | Set-NetFirewallRule -RemoteAddress $a[0]
`;

export const SANITIZE = String.raw`${PIECES}
if (Select-String -Quiet -SimpleMatch 'vcld_tainted=' -Path $tags) { throw 'a user was on this machine: it has to be loaded anew' }
Get-NetFirewallRule -Name 'provisiond-*' -ErrorAction SilentlyContinue | Remove-NetFirewallRule
Remove-Ours @()
`;

/** Input: the administrator's new password, then the lines of `currentimage.txt`. */
export const PRE_CAPTURE = String.raw`${PIECES}
$lines = @($in.TrimEnd() -split "\n")
Get-NetFirewallRule -Name 'provisiond-*' -ErrorAction SilentlyContinue | Remove-NetFirewallRule
Remove-Ours @()
if (Get-LocalGroup -Name $ours -ErrorAction SilentlyContinue) { Remove-LocalGroup -Name $ours }
Remove-Item -Recurse -Force -ErrorAction SilentlyContinue "$env:SystemRoot\Temp\*", "$env:SystemRoot\Prefetch\*"
foreach ($log in wevtutil.exe el) { wevtutil.exe cl $log 2>$null }
Get-NetAdapter | Set-NetIPInterface -Dhcp Enabled -ErrorAction SilentlyContinue
Set-AdministratorPassword $lines[0]
Write-Tags @($lines | Select-Object -Skip 1)
`;

/** `$a`: login. Input: one line. */
export const NOTIFY_USER = String.raw`${PIECES}
$in.Trim() | msg.exe $a[0] 2>$null
`;

/** `$a`: `/r` or `/s`. */
export const GO_DOWN = String.raw`${PIECES}
shutdown.exe $a[0] /t 1 /f
`;
