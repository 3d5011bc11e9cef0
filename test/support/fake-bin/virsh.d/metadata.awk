# The element of one namespace below <metadata>: shown (-v show=1), replaced by -v element under the prefix -v key, or,
# with an empty element, removed.
function is_ours(text) { return index(text, "=\"" uri "\"") || index(text, "='" uri "'") }
function indent(depth,   text) { while (depth-- > 0) text = text "  "; return text }
function shown(tag) {
  gsub("^" prefix ":", "", tag); gsub("^/" prefix ":", "/", tag)
  gsub("[ \t\n]+xmlns(:[A-Za-z0-9_.-]+)?=(\"" uri "\"|'" uri "')", "", tag)
  gsub(/'/, "\"", tag)
  sub(/[ \t\n]*$/, "", tag)
  return tag
}
# The pieces of an element, indented as libxml2 does it: text keeps its element on one line.
function show_element(text,   count, pieces, i, tag, rest, depth, out, after_text) {
  count = split(text, pieces, "<")
  for (i = 2; i <= count; i++) {
    tag = pieces[i]; rest = tag
    sub(/>.*$/, "", tag); sub(/^[^>]*>/, "", rest)
    if (tag ~ /^\//) { depth--; out = out (after_text ? "" : "\n" indent(depth)) "<" shown(tag) ">"; after_text = 0 }
    else {
      out = out (i == 2 ? "" : "\n" indent(depth)) "<" shown(tag) ">"
      if (tag !~ /\/$/) { depth++; after_text = rest ~ /[^ \t\n]/
        if (after_text) out = out rest
        else if (pieces[i + 1] ~ /^\//) { sub(/>$/, "/>", out); i++; depth-- } }
    }
  }
  print out
}
{ text = text $0 "\n" }
END {
  start = index(text, "<metadata>"); end = index(text, "</metadata>")
  found = 0
  if (start && end) {
    before = substr(text, 1, start + 9); inner = substr(text, start + 10, end - start - 10); after = substr(text, end)
    rest = inner; kept = ""
    while (match(rest, /<[A-Za-z][^>]*>/)) {
      open = substr(rest, RSTART, RLENGTH); tag = open
      sub(/^</, "", tag); sub(/[ \t\n\/>].*$/, "", tag)
      head = substr(rest, 1, RSTART - 1); tail = substr(rest, RSTART)
      if (open ~ /\/>$/) size = length(open)
      else size = index(tail, "</" tag ">") + length(tag) + 2
      one = substr(tail, 1, size); rest = substr(tail, size + 1)
      if (is_ours(open) && !found) {
        found = 1; ours = one
        prefix = tag; if (!sub(/:.*$/, "", prefix)) prefix = ""
      } else kept = kept head one
    }
    inner = kept rest
  } else {
    match(text, /<\/uuid>/)
    before = substr(text, 1, RSTART + 6) "\n  <metadata>"; inner = ""; after = "</metadata>" substr(text, RSTART + 7)
  }
  if (show) { if (!found) exit 1; show_element(ours); exit 0 }
  if (element != "") {
    # What comes without a prefix is put under the key's.
    gsub(/<\//, "<\001", element); gsub(/</, "<" key ":", element); gsub("<" key ":\001", "</" key ":", element)
    match(element, /[ \t\n\/>]/)
    element = substr(element, 1, RSTART - 1) " xmlns:" key "=\"" uri "\"" substr(element, RSTART)
    inner = "\n    " element inner
  }
  printf "%s", before inner after
}
