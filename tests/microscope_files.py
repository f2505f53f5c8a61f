"""Files of microscopes, written byte by byte as their formats say, since no Python package writes them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_lif(path: Path, images: dict[str, np.ndarray], *, times: int = 1) -> Path:
    """Write images of shape (c, z, y, x) as LIF version 2, with voxels of 2 × 0.25 × 0.5 µm along z, y, x.

    With several time points, images have the shape (c, times · z, y, x).
    """
    elements, blocks = [], b""
    for number, (name, array) in enumerate(images.items()):
        n_channels, z, y, x = array.shape
        z //= times
        steps = [("1", x, 0.5e-6, 2), ("2", y, 0.25e-6, 2 * x), ("3", z, -2e-6, 2 * x * y * n_channels)]
        steps += [("4", times, 1.0, 2 * x * y * n_channels * z)] if times > 1 else []
        dimensions = "".join(
            f'<DimensionDescription DimID="{axis}" NumberOfElements="{n}" Origin="0" Length="{size * (n - 1)}" '
            f'Unit="m" BytesInc="{increment}" BitInc="0"/>'
            for axis, n, size, increment in steps
        )
        channels = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
            f'Max="65535" Unit="" LUTName="{colour}" IsLUTInverted="0" BytesInc="{2 * x * y * channel}" BitInc="0"/>'
            for channel, colour in zip(range(n_channels), ("Blue", "Green"), strict=False)
        )
        elements.append(
            f'<Element Name="{name}" UniqueID="{number}"><Data><Image><ImageDescription><Channels>{channels}</Channels>'
            f"<Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
            f'<Memory Size="{array.nbytes}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        block, data = f"MemBlock_{number}".encode("utf-16-le"), np.moveaxis(array, 0, 1).tobytes()
        blocks += struct.pack("<IIBQBI", 0x70, 0, 0x2A, len(data), 0x2A, len(block) // 2) + block + data
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="a.lif"><Children>'
        f"{''.join(elements)}</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    path.write_bytes(struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml + blocks)
    return path


def xml(name: str, **values: object) -> str:
    """Return a node of Nikon's XML; its type follows from the value, and text is the content of the node."""
    types = {bool: "bool", float: "double", int: "lx_uint32"}
    nodes = [
        f"<{key}>{value}</{key}>"
        if isinstance(value, str)
        else f'<{key} runtype="{types[type(value)]}" value="{value}"/>'
        for key, value in values.items()
    ]
    return f"<{name}>{''.join(nodes)}</{name}>"


def write_nd2(path: Path, array: np.ndarray, n_frames: int, *, calibrated: bool = True, times: int = 1) -> Path:
    """Write an image of shape (c, z, y, x) as ND2 version 2, with voxels of 2 × 0.5 × 0.5 µm.

    With several time points, it has the shape (c, times · z, y, x).
    """
    n_channels, z, y, x = array.shape
    z //= times
    planes = "".join(
        f'<a{c}><uiCompCount runtype="lx_uint32" value="1"/><sDescription runtype="CLxStringW" value="{name}"/>'
        f'<pFluorescentProbe><uiColor runtype="lx_uint32" value="1"/></pFluorescentProbe></a{c}>'
        for c, name in enumerate(("DAPI", "GFP")[:n_channels])
    )
    attributes = {"uiWidth": x, "uiHeight": y, "uiWidthBytes": 2 * x * n_channels, "uiComp": n_channels}
    attributes |= {"uiBpcInMemory": 16, "uiBpcSignificant": 16, "uiSequenceCount": n_frames, "eCompression": 2}
    stack = xml("uLoopPars", uiCount=z, dZStep=2.0, dZLow=0.0, dZHigh=2.0 * (z - 1))
    loops = f'<eType runtype="lx_uint32" value="4"/>{stack}'
    if times > 1:
        film = xml("uLoopPars", uiCount=times, dStart=0.0, dPeriod=1000.0, dDuration=1000.0 * times)
        inner = f"<ppNextLevelEx><i0000000000>{loops}</i0000000000></ppNextLevelEx>"
        loops = f'<eType runtype="lx_uint32" value="1"/>{film}{inner}'
    picture = {"bCalibrated": calibrated, "dCalibration": 0.5}
    texts = {
        "ImageAttributes!": xml("variant", no_name=xml("SLxImageAttributes", **attributes)),
        "ImageMetadataSeq|0!": f"<variant><no_name>{xml('SLxPictureMetadata', **picture)[:-21]}<sPicturePlanes>"
        f'<uiCount runtype="lx_uint32" value="{n_channels}"/><sPlane>{planes}</sPlane></sPicturePlanes>'
        "</SLxPictureMetadata></no_name></variant>",
        "ImageMetadata!": f"<variant><no_name><SLxExperiment>{loops}</SLxExperiment></no_name></variant>",
    }
    chunks = {name.encode(): text.encode() for name, text in texts.items()}
    for number in range(n_frames):
        chunks[f"ImageDataSeq|{number}!".encode()] = bytes(8) + np.moveaxis(array[:, number], 0, -1).tobytes()
    content, table = b"", b""

    def chunk(name: bytes, data: bytes, reserved: int = 4072) -> bytes:
        return struct.pack("<IIQ", 0x0ABECEDA, reserved, len(data)) + name.ljust(reserved, b"\0") + data

    content += chunk(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver2.1".ljust(64, b"\0"), 32)
    for name, data in chunks.items():
        table += name + struct.pack("<QQ", len(content), len(data))
        content += chunk(name, data)
    end = b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", len(content))
    path.write_bytes(content + chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", table + end))
    return path
