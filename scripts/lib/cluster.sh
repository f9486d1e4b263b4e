# Sourced by setup-index and teardown-index: the cluster by curl, its JSON by jq.
#
# CURL_OPTIONS: more options for curl, e.g. "--user name:password --cacert ca.pem".

fail() { echo "error: $*" >&2; exit 1; }

for tool in curl jq; do
  command -v "$tool" >/dev/null 2>&1 || fail "$tool is not installed"
done

# request METHOD URL [BODY]: print the answer; end where the cluster refuses.
request() {
  local answer status
  # shellcheck disable=SC2086  # CURL_OPTIONS is a list of words
  answer=$(curl --silent --show-error ${CURL_OPTIONS:-} --request "$1" "$2" --write-out '\n%{http_code}' \
    ${3:+--header 'content-type: application/json' --data-binary "$3"}) || fail "$2 does not answer"
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  case "$status" in
    2??) printf '%s\n' "$answer" ;;
    *) fail "$1 $2 answers $status: $(printf '%s' "$answer" | jq -r '.error.reason? // .detail? // .error? // .' 2>/dev/null | head -c 400)" ;;
  esac
}

# exists URL: whether there is something of that name.
exists() {
  # shellcheck disable=SC2086
  [ "$(curl --silent ${CURL_OPTIONS:-} --output /dev/null --write-out '%{http_code}' --request GET "$1")" = 200 ]
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
