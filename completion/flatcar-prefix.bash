# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Completion for setup_prefix, flatcar-prefix and the wrappers of every prefix. Arguments of
# wrappers complete like those of the wrapped tool. Source this file from ~/.bashrc, or install
# it in /etc/bash_completion.d. It does not require bash-completion. Verbs and flags come from
# the programs' --help, which runs once per shell.

# Set COMPREPLY to those of the words $2... that begin with $1.
_flatcar_prefix_reply() {
	local typed=${1} word
	shift
	COMPREPLY=()
	for word in "$@"; do
		[[ ${word} != "${typed}"* ]] || COMPREPLY+=("${word}")
	done
	[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null || :
}

# Set names to the prefixes of this machine, each also with its board.
_flatcar_prefix_names() {
	local state build directory name board
	build=${FLATCAR_PREFIX_BUILD_DIR:-/build}
	state=${FLATCAR_PREFIX_STATE_DIR:-}
	names=()
	for directory in "${build}"/prefix-*/*/; do
		directory=${directory%/}
		[[ -e ${directory}/flatcar-prefix.json ]] || continue
		name=${directory##*/}
		board=${directory%/*}
		names+=("${name}" "${name}-${board##*/prefix-}")
	done
	for directory in "${state:-/var/lib/flatcar-prefix}"/prefixes/* \
		"${state:-${XDG_STATE_HOME:-${HOME}/.local/state}/flatcar-prefix}"/prefixes/*; do
		[[ ! -L ${directory} ]] || names+=("${directory##*/}")
	done
}

# Complete directories.
_flatcar_prefix_directories() {
	compopt -o filenames 2>/dev/null || :
	mapfile -t COMPREPLY < <(compgen -d -- "${1}" || true)
}

declare -gA _flatcar_prefix_help=()

# Set flags and verbs to those in the help of the command "$@".
_flatcar_prefix_ask() {
	local line key="$*"
	flags=() verbs=()
	if [[ -z ${_flatcar_prefix_help[${key}]-} ]]; then
		_flatcar_prefix_help[${key}]=$(COLUMNS=200 "$@" --help 2>/dev/null)
	fi
	while IFS= read -r line; do
		if [[ ${line} =~ ^\ \ (-[a-zA-Z],\ )?(--[a-z][a-z-]*)(\ [A-Z\<\[{])? ]]; then
			flags+=("${BASH_REMATCH[2]}${BASH_REMATCH[3]:+=}")
		elif [[ ${line} =~ ^\ {4}([a-z]+)(\ \ |$) ]]; then
			verbs+=("${BASH_REMATCH[1]}")
		fi
	done <<<"${_flatcar_prefix_help[${key}]}"
}

# Complete the arguments of setup_prefix, and of flatcar-prefix setup.
_flatcar_prefix_setup() {
	local typed=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD - 1]} names word flags verbs
	if [[ ${typed} == = ]]; then
		typed=
	elif [[ ${flag} == = ]]; then
		flag=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case ${flag//_/-} in
	--board) _flatcar_prefix_reply "${typed}" amd64-usr arm64-usr ;;
	--toolchain) _flatcar_prefix_reply "${typed}" board sdk host ;;
	--bootstrap) _flatcar_prefix_reply "${typed}" source import none ;;
	--*-dir | --custom-ebuild-overlays) _flatcar_prefix_directories "${typed}" ;;
	*)
		if [[ ${typed} == -* ]]; then
			_flatcar_prefix_ask "${_flatcar_prefix_setup_command[@]-setup_prefix}"
			_flatcar_prefix_reply "${typed//_/-}" "${flags[@]}"
			return
		fi
		for word in "${COMP_WORDS[@]:1}"; do
			if [[ ${word} == --uninstall || ${word} == --force ]]; then
				_flatcar_prefix_names
				_flatcar_prefix_reply "${typed}" "${names[@]}"
				return
			fi
		done
		_flatcar_prefix_directories "${typed}"
		;;
	esac
}

_flatcar_prefix() {
	local typed=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
	local names flags verbs
	if [[ ${typed} == = ]]; then
		typed=
	elif [[ ${before} == = ]]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	if ((COMP_CWORD == 1)); then
		_flatcar_prefix_ask "${COMP_WORDS[0]}"
		_flatcar_prefix_reply "${typed}" "${verbs[@]}" "${flags[@]}"
	elif [[ ${verb} == setup ]]; then
		local _flatcar_prefix_setup_command=("${COMP_WORDS[0]}" setup)
		_flatcar_prefix_setup
	elif [[ ${verb} == run && ${typed} != -* ]] && ((COMP_CWORD > 2)); then
		# The word after the name of the prefix is a program in the prefix.
		compopt -o default 2>/dev/null || :
	elif [[ ${before} == --env ]]; then
		_flatcar_prefix_reply "${typed}" staging final
	elif [[ ${before} == --board ]]; then
		_flatcar_prefix_reply "${typed}" amd64-usr arm64-usr
	elif [[ ${typed} == -* ]]; then
		_flatcar_prefix_ask "${COMP_WORDS[0]}" "${verb}"
		_flatcar_prefix_reply "${typed}" "${flags[@]}"
	elif [[ ${verb} != @(list|doctor) ]] && ((COMP_CWORD == 2)); then
		_flatcar_prefix_names
		_flatcar_prefix_reply "${typed}" "${names[@]}"
	else
		compopt -o default 2>/dev/null || :
	fi
}

# Set completer to the function that completes the arguments of a tool, if there is one.
_flatcar_prefix_completer_of() {
	local tool=${1} specification loader
	completer=
	specification=$(complete -p -- "${tool}" 2>/dev/null)
	if [[ -z ${specification} ]]; then
		for loader in _comp_load _completion_loader __load_completion; do
			declare -F "${loader}" >/dev/null || continue
			"${loader}" "${tool}" >/dev/null 2>&1
			break
		done
		specification=$(complete -p -- "${tool}" 2>/dev/null)
	fi
	[[ ! ${specification} =~ \ -F\ ([^ ]+)\  ]] || completer=${BASH_REMATCH[1]}
	# bash-completion returns these if it has no completion for the tool.
	[[ ${completer} != _minimal && ${completer} != _comp_complete_minimal ]] || completer=
}

# Run the wrapper with the option for its root. The function below sets both variables.
_flatcar_prefix_rooted() {
	"${wrapper/#"~/"/"${HOME}/"}" "${root}" "$@"
}

# Complete the arguments of <tool>-prefix-<name> like those of the tool. A completer that
# queries the tool, for packages or options, has to query the wrapper.
_flatcar_prefix_wrapper() {
	local wrapper=${COMP_WORDS[0]} typed=${COMP_WORDS[COMP_CWORD]} tool first completer own=()
	local root asked=${wrapper}
	tool=${wrapper##*/}
	tool=${tool%%-prefix-*}
	first=${COMP_WORDS[1]}
	if ((COMP_CWORD == 1)); then
		own=(--staging --final --prefix-help)
		[[ ${tool} != emerge ]] || own+=(--stage --install)
	else
		case ${first} in
		--staging | --final | --stage | --install)
			COMP_LINE=${COMP_LINE/" ${first}"/}
			COMP_POINT=$((COMP_POINT - ${#first} - 1))
			COMP_CWORD=$((COMP_CWORD - 1))
			COMP_WORDS=("${wrapper}" "${COMP_WORDS[@]:2}")
			root=${first}
			asked=_flatcar_prefix_rooted
			;;
		*) ;;
		esac
	fi
	COMP_LINE=${tool}${COMP_LINE#"${wrapper}"}
	COMP_POINT=$((COMP_POINT - ${#wrapper} + ${#tool}))
	COMP_WORDS[0]=${tool}
	COMPREPLY=()
	_flatcar_prefix_completer_of "${tool}"
	if [[ -n ${completer} ]]; then
		"${completer}" "${asked}" "${typed}" "${COMP_WORDS[COMP_CWORD - 1]}"
	else
		compopt -o default 2>/dev/null || :
	fi
	local word
	for word in "${own[@]}"; do
		[[ -z ${typed} || ${word} != "${typed}"* ]] || COMPREPLY+=("${word}")
	done
}

# Recognise a wrapper by its name at its first completion: the set of wrappers changes.
_flatcar_prefix_by_name() {
	local command=${1}
	if [[ ${command##*/} == ?*-prefix-?* ]]; then
		complete -F _flatcar_prefix_wrapper -- "${command}"
		return 124
	fi
	if [[ -n ${_flatcar_prefix_otherwise} ]]; then
		"${_flatcar_prefix_otherwise}" "$@"
		return
	fi
	compopt -o bashdefault -o default 2>/dev/null || :
}

if [[ $(complete -p -D 2>/dev/null || true) =~ \ -F\ ([^ ]+) ]]; then
	[[ ${BASH_REMATCH[1]} == _flatcar_prefix_by_name ]] || _flatcar_prefix_otherwise=${BASH_REMATCH[1]}
else
	_flatcar_prefix_otherwise=
fi
complete -D -F _flatcar_prefix_by_name
complete -F _flatcar_prefix flatcar-prefix
complete -F _flatcar_prefix_setup setup_prefix
