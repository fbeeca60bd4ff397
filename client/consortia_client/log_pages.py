"""PURE: the record of processing and the incident draft as pages, in English or Chinese.

The words are here, the facts come from a log. A draft says what only people can add; nothing is made up for them.
"""

from collections.abc import Mapping
from typing import Any

from consortia_client.pages import Page, Section
from consortia_client.subject_page import BASES

_WORDS: Mapping[str, tuple[str, str]] = {
    "processing": ("Record of processing activities", "个人信息处理活动记录"),
    "processing_intro": (
        "Joint processing with other institutions, as the audit log of {institution} has it (GDPR 30; "
        "PIPL 55, 56). The log's verdict: {verdict}.",
        "{institution}与其他机构共同处理个人信息的活动记录，取自其审计日志（GDPR 第30条；"
        "《个人信息保护法》第五十五、五十六条）。日志核验结论：{verdict}。",
    ),
    "controller": ("Controller", "个人信息处理者"),
    "contact": ("Contact", "联系方式"),
    "agreement": ("Agreement", "依据协议"),
    "state": ("State", "状态"),
    "purpose": ("Purpose", "处理目的"),
    "basis": ("Lawful basis", "合法性基础"),
    "data": ("Categories of data", "个人信息种类"),
    "subjects": ("Data subjects", "个人信息主体"),
    "customers": ("customers of {institution}", "{institution}的客户"),
    "recipients": ("Recipients", "接收方"),
    "countries": ("Countries", "国家或地区"),
    "retention": ("Kept for", "保存期限"),
    "days": ("{days} days", "{days} 天"),
    "jobs": ("Jobs", "任务数"),
    "rows": ("Rows used in all", "累计使用记录数"),
    "period": ("From – to", "起止时间"),
    "measures": ("Security measures", "安全措施"),
    "measures_text": (
        "Rows stay at the institution. What leaves it is sealed sums or ciphertexts; rows without the consent that "
        "the agreement asks for are left out before anything is computed; every access is on a tamper-evident log; "
        "customers are pseudonymous in it, and erasing one destroys their key.",
        "原始记录不离开本机构，仅传出密封汇总值或密文；缺少协议所要求同意的记录在计算前即被排除；每次访问均写入防篡改"
        "日志；日志中客户以假名出现，删除客户即销毁其密钥。",
    ),
    "erased": ("Customers erased", "已删除客户数"),
    "nothing": ("Nothing was read.", "未读取任何数据。"),
    "unknown": ("not on the log", "日志中无记载"),
    "incident": ("Incident report (draft)", "个人信息安全事件通知（草稿）"),
    "incident_intro": (
        "What the audit log of {institution} tells of the time from {since} to {until} (PIPL 57; GDPR 33). "
        "The log's verdict: {verdict}. A person must judge whether this was an incident and add what is marked.",
        "{institution}的审计日志关于{since}至{until}期间的记载（《个人信息保护法》第五十七条；GDPR 第33条）。"
        "日志核验结论：{verdict}。是否构成安全事件须由负责人判断，并补充下列标注内容。",
    ),
    "events": ("What was refused, failed or alarmed", "被拒绝、失败或告警的事件"),
    "event": ("Event", "事件"),
    "count": ("Count", "次数"),
    "reason": ("Last reasons (log entry)", "最近原因（日志条目）"),
    "no_events": ("The log has no such event in this time.", "该期间日志中无此类事件。"),
    "reach": ("Data in use at the time", "期间使用的个人信息"),
    "to_add": ("To be added by a person", "须由负责人补充"),
    "cause": ("Cause", "发生原因"),
    "harm": ("Possible harm to the customers", "可能对个人造成的危害"),
    "done": ("Measures taken", "已采取的补救措施"),
    "advice": ("What customers can do", "个人可以采取的减轻危害的措施"),
    "person": ("Responsible person and contact", "负责人及联系方式"),
    "blank": ("…", "……"),
    "footer": (
        "Times are in UTC. Made from the log alone, {entries} entries.",
        "时间均为协调世界时（UTC）。仅依据日志生成，共 {entries} 条。",
    ),
}
_TERMS: Mapping[str, tuple[str, str]] = {
    **BASES,
    "verified": ("verified", "核验通过"),
    "uncovered": ("uncovered: it records an access that was not allowed", "存在未经许可的访问"),
    "tampered": ("tampered with", "已被篡改"),
    "unverifiable": ("unverifiable", "无法核验"),
    "active": ("active", "有效"),
    "suspended": ("suspended", "已中止"),
    "superseded": ("superseded", "已被新版本取代"),
    "terminated": ("terminated", "已终止"),
}


def processing_page(document: Mapping[str, Any], verdict: str, language: str) -> Page:
    """The record of processing that ``document`` (log_reports.Processing) holds."""
    say = _Words(language)
    institution = document["institution"]
    return Page(
        language="zh-CN" if language == "zh" else "en",
        title=say("processing"),
        introduction=[say("processing_intro", institution=institution, verdict=say.term(verdict))],
        facts=[(say("controller"), institution), (say("erased"), str(document["subjects_erased"]))],
        sections=[
            *(_activity(one, institution, say) for one in document["activities"]),
            Section(say("measures"), [say("measures_text")]),
        ],
        footer=say("footer", entries=document["log_entries"]),
    )


def incident_page(document: Mapping[str, Any], verdict: str, entries: int, language: str) -> Page:
    """The draft that ``document`` (log_reports.Incident) holds."""
    say = _Words(language)
    when = {name: document[name] for name in ("institution", "since", "until")}
    rows = [
        (
            one["type"],
            str(one["count"]),
            f"{one['first']} – {one['last']}",
            "; ".join(f"{item['reason']} ({item['entry']})" for item in one["samples"]),
        )
        for one in document["events"]
    ]
    columns = (say("event"), say("count"), say("period"), say("reason"))
    blank = [(say(name), say("blank")) for name in ("cause", "harm", "done", "advice", "person")]
    return Page(
        language="zh-CN" if language == "zh" else "en",
        title=say("incident"),
        introduction=[say("incident_intro", verdict=say.term(verdict), **when)],
        sections=[
            Section(say("events"), columns=columns, rows=rows, empty=say("no_events")),
            Section(say("reach"), facts=_use(document["in_use"], say)),
            Section(say("to_add"), facts=blank),
        ],
        footer=say("footer", entries=entries),
    )


class _Words:
    """The page's words in one language."""

    def __init__(self, language: str) -> None:
        self._index = 1 if language == "zh" else 0

    def __call__(self, word: str, **values: Any) -> str:
        return _WORDS[word][self._index].format(**values)

    def term(self, value: str) -> str:
        """A value of the log's as people call it; one that is not known stays as it is."""
        return _TERMS.get(value, (value, value))[self._index]


def _activity(one: Mapping[str, Any], institution: str, say: _Words) -> Section:
    countries = sorted({party["country"] for party in one["parties"] if party["country"]})
    days = one["retention_days"]
    return Section(
        f"{one['title'] or one['agreement'].partition('#')[0]}: {one['purpose'] or say('nothing')}",
        facts=[
            (say("agreement"), one["agreement"]),
            (say("state"), say.term(one["state"]) or say("unknown")),
            (say("contact"), one["contact"] or say("unknown")),
            (say("purpose"), one["purpose"] or say("nothing")),
            (say("subjects"), say("customers", institution=institution)),
            (say("recipients"), ", ".join(one["recipients"]) or say("unknown")),
            (say("countries"), ", ".join(countries) or say("unknown")),
            (say("retention"), say("days", days=days) if days else say("unknown")),
            *_use(one, say),
        ],
    )


def _use(use: Mapping[str, Any], say: _Words) -> list[tuple[str, str]]:
    if not use["jobs"]:
        return [(say("data"), say("nothing"))]
    return [
        (say("basis"), ", ".join(map(say.term, use["lawful_basis"]))),
        (say("data"), "; ".join(f"{name}: {', '.join(columns)}" for name, columns in use["data"].items())),
        (say("jobs"), str(len(use["jobs"]))),
        (say("rows"), f"{use['rows_used']:,}"),
        (say("period"), f"{use['first']} – {use['last']}"),
    ]
