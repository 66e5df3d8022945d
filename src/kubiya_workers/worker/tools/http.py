from .call import Call, Outcome, ToolFault


async def read_file(call: Call) -> Outcome:
    raise ToolFault("not yet")


write_file = list_directory = search_files = http_request = read_file
