# Reads the XML of a domain: whether it is well-formed, and what the fake world must know of it, a line a fact.
function attribute(name,   found) {
  if (!match($0, "[ \t\n]" name "[ \t]*=[ \t]*(\"[^\"]*\"|'[^']*')")) return ""
  found = substr($0, RSTART, RLENGTH)
  sub(/^[^"']*["']/, "", found)
  return plain(substr(found, 1, length(found) - 1))
}
function plain(text) {
  gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text); gsub(/&apos;/, "'", text)
  gsub(/&amp;/, "\\&", text)
  return text
}
function content(   text) {
  text = $0
  sub(/^[^>]*>/, "", text)
  return plain(text)
}
function broken() { print "broken"; failed = 1; exit }
BEGIN { RS = "<" }
NR == 1 { next }
comment { if (index($0, "-->")) comment = 0; next }
/^!--/ { if (!index($0, "-->")) comment = 1; next }
/^[?!]/ { next }
{
  if (!index($0, ">")) broken()
  tag = $0
  sub(/[ \t\n\/>].*$/, "", tag)
  if ($0 ~ /^\//) {
    tag = substr($0, 2)
    sub(/[ \t\n>].*$/, "", tag)
    if (depth == 0 || stack[depth] != tag) broken()
    if (tag == "disk" && depth == 3) print "disk|" type "|" device "|" target "|" source
    if (tag == "interface" && depth == 3) print "nic|" type "|" source "|" model "|" mac
    depth--
    next
  }
  selfclosing = $0 ~ /^[^>]*\/>/
  parent = stack[depth]
  if (depth == 0) { if (tag != "domain" || rooted++) broken(); print "type|" attribute("type") }
  if (depth == 1 && tag == "name") print "name|" content()
  if (depth == 1 && tag == "uuid") print "uuid|" content()
  if (depth == 1 && tag == "vcpu") print "vcpu|" content()
  if (depth == 1 && tag == "memory") { unit = attribute("unit"); size = content() + 0
    print "memory|" (unit == "GiB" ? size * 1048576 : unit == "MiB" ? size * 1024 : size) }
  if (depth == 2 && parent == "os" && tag == "type") print "os|" content()
  if (depth == 2 && parent == "devices" && tag ~ /^(disk|interface)$/) {
    type = attribute("type"); device = attribute("device"); if (device == "") device = "disk"
    target = source = mac = model = ""
  }
  if (depth == 3 && parent == "disk" && tag == "source") source = attribute("file") attribute("dev")
  if (depth == 3 && parent == "disk" && tag == "target") target = attribute("dev")
  if (depth == 3 && parent == "interface" && tag == "source") source = attribute("network") attribute("bridge")
  if (depth == 3 && parent == "interface" && tag == "mac") mac = attribute("address")
  if (depth == 3 && parent == "interface" && tag == "model") model = attribute("type")
  if (depth == 3 && parent == "serial" && tag == "log") print "console|" attribute("file")
  if (!selfclosing) stack[++depth] = tag
}
END { if (!failed && (depth != 0 || !rooted)) print "broken" }
