# Sourced by setup-index and teardown-index: the cluster by curl, its JSON by jq.
#
# CURL_OPTIONS: more options for curl, e.g. "--user name:password --cacert ca.pem"; of two, curl takes the last.

fail() { echo "error: $*" >&2; exit 1; }

# one_index NAME: end where a cluster may take the name for another index, or for several.
one_index() {
  [ -n "$1" ] || fail "--index is missing"
  case "$1" in
    [-_+]*|.|..|*[\\/*?\"\<\>\|,:#[:space:]]*)
      fail "'$1' can't be written to: patterns, lists, _all and their like stand for several indices. Name one" ;;
  esac
}

for tool in curl jq; do
  command -v "$tool" >/dev/null 2>&1 || fail "$tool is not installed"
done

_curl() {
  # shellcheck disable=SC2086  # CURL_OPTIONS is a list of words
  curl --silent --show-error --connect-timeout 10 --max-time 120 ${CURL_OPTIONS:-} "$@"
}

# request METHOD URL [BODY]: print the answer; end where the cluster refuses.
request() {
  local answer status
  answer=$(_curl --request "$1" "$2" --write-out '\n%{http_code}' \
    ${3:+--header 'content-type: application/json' --data-binary "$3"}) || fail "$2 does not answer"
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  case "$status" in
    2??) printf '%s\n' "$answer" ;;
    *) fail "$1 $2 answers $status: $(printf '%s' "$answer" | jq -r '.error.reason? // .detail? // .error? // .' 2>/dev/null | head -c 400)" ;;
  esac
}

# exists URL: whether there is something of that name; end where the cluster does not say.
exists() {
  local status
  status=$(_curl --output /dev/null --write-out '%{http_code}' --request GET "$1") || fail "$1 does not answer"
  case "$status" in
    200) ;;
    404) return 1 ;;
    *) fail "GET $1 answers $status" ;;
  esac
}

# change METHOD PATH [BODY]: send it, or with --dry-run print it.
change() {
  if [ -n "${dry_run:-}" ]; then
    echo "$1 $2"
    if [ -n "${3:-}" ]; then printf '%s' "$3" | jq .; fi
  else
    request "$1" "$engine$2" ${3:+"$3"} >/dev/null
  fi
}
