"""PURE: a customer's report as a page, in English or Chinese. The words are here, the facts come from the node."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consortia_client.pages import Page, Section

LANGUAGES = ("en", "zh")

_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("How your data were used", "您的个人信息使用情况报告"),
    "intro": (
        "This report tells which of your data {institution} let be used together with other institutions, when, "
        "for which purpose, with whom, and on which basis. It was made from the institution's audit log, whose "
        "entries can't be changed afterwards.",
        "本报告说明{institution}在何时、为何种目的、与哪些机构、依据何种合法性基础共同使用了您的哪些个人信息。"
        "报告内容取自该机构的审计日志，日志条目一经写入即无法更改。",
    ),
    "left_home": (
        "Records about you never left {institution}: others received encrypted or aggregated values only.",
        "您的原始记录从未离开{institution}：其他机构仅收到加密数据或汇总结果。",
    ),
    "institution": ("Institution", "个人信息处理者"),
    "made_at": ("Made at", "报告生成时间"),
    "pseudonym": ("Your pseudonym in the log", "您在日志中的假名"),
    "uses": ("Uses of your data", "个人信息使用记录"),
    "no_uses": ("No row about you was used.", "未使用过与您有关的记录。"),
    "when": ("When", "时间"),
    "purpose": ("Purpose", "目的"),
    "data": ("Data", "个人信息"),
    "with": ("With", "共同使用方"),
    "basis": ("Basis", "合法性基础"),
    "agreement": ("Agreement", "依据协议"),
    "job": ("Job", "任务"),
    "entry": ("Log entry", "日志条目"),
    "consents": ("Your consents", "您的同意记录"),
    "no_consents": ("No consent of yours is on record.", "没有您的同意记录。"),
    "state": ("State", "状态"),
    "since": ("From", "生效时间"),
    "until": ("Until", "有效期至"),
    "notice": ("Notice", "告知书"),
    "recorded": ("Recorded", "登记时间"),
    "told": ("What you were told", "向您告知的内容"),
    "controller": ("Controller", "个人信息处理者"),
    "categories": ("Categories", "个人信息种类"),
    "recipients": ("Recipients", "接收方"),
    "storage": ("Storage", "存储方式"),
    "retention": ("Kept for", "保存期限"),
    "how": ("How to withdraw", "撤回同意的方式"),
    "law": ("Legal basis", "法律依据"),
    "models": ("Models made in these jobs", "由上述任务产生的模型"),
    "model": ("Model", "模型"),
    "models_text": (
        "A model holds no row about you, and stays as it is if you withdraw consent; no later job uses your row.",
        "模型不包含您的任何单条记录；您撤回同意后模型本身不变，但此后的任务不再使用您的记录。",
    ),
    "answers": ("Who took note of your withdrawal", "已确认收到撤回通知的机构"),
    "party": ("Institution", "机构"),
    "received": ("Acknowledged at", "确认时间"),
    "rights": ("Your rights", "您的权利"),
    "rights_text": (
        "You can ask for a copy, for correction, for erasure, and withdraw consent at any time (GDPR 7, 15–17; "
        "PIPL 15, 44–47). Withdrawal takes effect with the next use. Each use above can be proved to you: ask for "
        "the proof of the job.",
        "您有权查阅、复制、更正、删除个人信息，并可随时撤回同意（《个人信息保护法》第十五条、第四十四至四十七条；"
        "GDPR 第7条、第15至17条）。撤回自下一次使用起生效。"
        "上述每一次使用均可向您出示证明：请索取相应任务的证明文件。",
    ),
    "footer": (
        "Times are in UTC. Log of {institution}, {entries} entries when this report was made.",
        "时间均为协调世界时（UTC）。生成本报告时，{institution}的日志共有 {entries} 条。",
    ),
    "consent_basis": (
        "your consent under {notice}, {state} since {since}",
        "您的同意（{notice}，{state}，自{since}起）",
    ),
    "none": ("none", "无"),
    "open": ("without end", "无限期"),
}
_STATES: Mapping[str, str] = {
    "requested": "已征求",
    "given": "已同意",
    "refused": "已拒绝",
    "lapsed": "逾期未答复",
    "renewed": "已续期",
    "withdrawn": "已撤回",
    "expired": "已到期",
    "terminated": "已终止",
    "invalidated": "已作废",
}
BASES: Mapping[str, tuple[str, str]] = {
    "consent": ("consent", "同意"),
    "contract": ("performance of a contract", "订立、履行合同所必需"),
    "legal_obligation": ("legal obligation", "履行法定职责或者法定义务"),
    "legitimate_interests": ("legitimate interests", "正当利益"),
    "vital_interests": ("vital interests", "保护重大利益"),
    "public_task": ("public task", "公共利益"),
}


def page_of(report: Mapping[str, Any], language: str) -> Page:
    """The page of a report as the node makes it."""
    return _Writer(report, LANGUAGES.index(language)).page()


class _Writer:
    def __init__(self, report: Mapping[str, Any], language: int) -> None:
        self._report = report
        self._language = language

    def page(self) -> Page:
        report = self._report
        return Page(
            language=("en", "zh-CN")[self._language],
            title=self._say("title"),
            introduction=[self._say("intro"), self._say("left_home")],
            facts=[
                (self._say("institution"), report["institution"]),
                (self._say("made_at"), _minute(report["made_at"])),
                (self._say("pseudonym"), report["pseudonym"]),
            ],
            sections=[section for section in self._sections() if section],
            footer=self._say("footer", entries=report["log_entries"]),
        )

    def _sections(self) -> list[Section | None]:
        return [
            self._uses(),
            self._consents(),
            *(self._notice(notice) for notice in self._report["notices"]),
            self._models(),
            self._answers(),
            Section(self._say("rights"), [self._say("rights_text")]),
        ]

    def _uses(self) -> Section:
        names = ("when", "purpose", "data", "with", "basis", "agreement", "job", "entry")
        rows = [
            (
                _minute(use["at"]),
                use["purpose"],
                f"{use['dataset']}: {self._list(use['columns'])}",
                self._list(use["with"]),
                self._basis(use),
                " ".join(filter(None, (use["agreement_title"], f"({use['agreement']})"))),
                use["job"],
                str(use["entry"]),
            )
            for use in self._report["uses"]
        ]
        return self._tabled("uses", names, rows, "no_uses")

    def _consents(self) -> Section:
        names = ("purpose", "state", "since", "until", "recorded", "notice")
        rows = [
            (
                one["purpose"],
                self._state(one["state"]),
                _minute(one["effective_at"]),
                _minute(one["valid_until"]) if one["valid_until"] else self._say("open"),
                _minute(one["recorded_at"]),
                one["notice"],
            )
            for one in self._report["consents"]
        ]
        return self._tabled("consents", names, rows, "no_consents")

    def _notice(self, notice: Mapping[str, Any]) -> Section:
        facts = [
            ("controller", notice["controller"]),
            ("purpose", self._list(f"{one['description']} ({one['name']})" for one in notice["purposes"])),
            ("law", self._list(notice["lawful_basis"])),
            ("data", self._list(f"{one['dataset']}: {self._list(one['columns'])}" for one in notice["data"])),
            ("categories", self._list(item for one in notice["data"] for item in one["categories"])),
            ("recipients", self._list(_recipient(one) for one in notice["recipients"])),
            ("storage", notice["storage"]),
            ("retention", notice["retention"]),
            ("how", notice["withdrawal"]),
        ]
        heading = f"{self._say('told')}: {notice['id']}@{notice['version']}"
        return Section(heading, facts=[(self._say(name), value) for name, value in facts])

    def _models(self) -> Section | None:
        models = self._report["models"]
        rows = [(name,) for name in models]
        return (
            Section(self._say("models"), [self._say("models_text")], (), (self._say("model"),), rows)
            if models
            else None
        )

    def _answers(self) -> Section | None:
        rows = [(one["institution"], _minute(one["received_at"])) for one in self._report["acknowledgements"]]
        return self._tabled("answers", ("party", "received"), rows, "none") if rows else None

    def _tabled(self, heading: str, names: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> Section:
        columns = [self._say(name) for name in names]
        return Section(self._say(heading), columns=columns, rows=rows, empty=self._say(empty))

    def _basis(self, use: Mapping[str, Any]) -> str:
        if not use["notice"]:
            basis = str(use["lawful_basis"])
            return BASES.get(basis, (basis, basis))[self._language]
        state, since = self._state(use["consent_state"]), _minute(use["consent_since"])
        return self._say("consent_basis", notice=use["notice"], state=state, since=since)

    def _state(self, state: str) -> str:
        return _STATES.get(state, state) if self._language else state

    def _list(self, items: Iterable[str]) -> str:
        return ("、" if self._language else ", ").join(items) or self._say("none")

    def _say(self, word: str, **values: object) -> str:
        text: str = _WORDS[word][self._language]
        return text.format(institution=self._report["institution"], **values)


def _recipient(one: Mapping[str, Any]) -> str:
    return f"{one['name']} ({one['contact']}; {one['purpose']}; {one['method']}; {', '.join(one['categories'])})"


def _minute(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]}"
